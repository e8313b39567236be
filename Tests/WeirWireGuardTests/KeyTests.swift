import Testing
import WeirTestSupport
import WeirWireGuard

@Suite("Keys")
struct KeyTests {
    @Test("a public key is 44 characters of base64 that stand for 32 bytes, and nothing else")
    func base64() {
        #expect(PublicKey(base64: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")?.isZero == true)
        #expect(PublicKey(base64: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=") == nil)
    }

    private func text(_ key: borrowing SecretKey) -> [UInt8] { unsafe key.withBase64 { unsafe Array($0) } }
    private func bytes(_ key: borrowing SecretKey) -> [UInt8] { unsafe key.withBytes { unsafe Array($0) } }

    /// The bytes that a text stands for; nil where it is refused.
    private func decoded(_ text: [UInt8]) -> [UInt8]? {
        unsafe text.withUnsafeBytes { text in
            guard let key = unsafe SecretKey.decode(base64: text) else { return nil }
            return bytes(key)
        }
    }

    @Test("A secret key's text is base64 and a newline, and gives the key back")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 51871)
        for _ in 0..<500 {
            let wanted = (0..<32).map { _ in UInt8(generator.below(256)) }
            let key = unsafe SecretKey { unsafe $0.copyBytes(from: wanted) }
            let text = text(key)
            // The public key's text is made by another library.
            let reference = try #require(PublicKey(bytes: wanted)).base64
            try #require(text == Array((reference + "\n").utf8))
            try #require(decoded(text) == wanted && decoded(text.dropLast()) == wanted)
        }
    }

    @Test("Each key has one text: stray bits in the last character are refused")
    func canonical() throws {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let key = SecretKey.generatePrivateKey()
        let wanted = bytes(key)
        var good = Array(text(key).dropLast())
        var taken = 0
        for character in alphabet {
            good[42] = character
            guard let found = decoded(good) else { continue }
            taken += 1
            #expect(found.dropLast() == wanted.dropLast())
        }
        #expect(taken == 16, "4 of the character's 6 bits are the key's")
    }

    @Test("No character but base64's is taken at any place")
    func alphabet() {
        let good = Array(text(SecretKey.generatePrivateKey()).dropLast())
        for place in good.indices {
            for character in Array("=-_ \n\0\u{80}".utf8) where good[place] != character {
                var text = good
                text[place] = character
                #expect(decoded(text) == nil, "\(character) at \(place)")
            }
        }
        for count in 0...64 where count != 44 {
            #expect(decoded(Array(repeating: UInt8(ascii: "A"), count: count)) == nil)
        }
    }
}
