import Foundation
import Testing
import WeirBundle
import WeirLoader

@Suite("Signatures of bundles")
struct SignatureTests {
    private func keys(_ keys: (String, BundleKey)...) -> TrustedKeys {
        TrustedKeys(keys.map { TrustedKeys.Key(name: $0.0, key: $0.1) })
    }

    @Test("A signature is of everything before it, the same every time, and believed by whoever trusts the key")
    func sign() throws {
        let key = try SigningKey.generate()
        let sealed = try SampleBundle.small().sealed()
        let signed = try sealed.signed(by: key)
        #expect(try sealed.signed(by: key).bytes == signed.bytes)
        #expect(signed.bytes.starts(with: sealed.bytes) && signed.bytes.count == sealed.bytes.count + 40 + 74)
        #expect(signed.digest == sealed.digest)
        let read = try BundleContainer(decoding: signed.bytes)
        #expect(try read.signature()?.key == key.publicKey.id)
        #expect(try NodeBundle(read) == NodeBundle(sealed))
        #expect(try keys(("release", key.publicKey)).require(read).name == "release")
        // A second signature replaces the first.
        let other = try SigningKey.generate()
        let again = try read.signed(by: other)
        #expect(again.bytes.count == signed.bytes.count)
        #expect(throws: BundleTrustError.unknownKey(other.publicKey.id)) {
            try keys(("release", key.publicKey)).require(again)
        }
    }

    @Test("Unsigned, by somebody else, and over other bytes: each is refused for its own reason")
    func refusals() throws {
        let key = try SigningKey.generate()
        let other = try SigningKey.generate()
        let trusted = keys(("other", other.publicKey), ("release", key.publicKey))
        var bundle = try SampleBundle.small()
        let sealed = bundle.sealed()
        #expect(throws: BundleTrustError.unsigned) { try trusted.require(sealed) }
        let stranger = try SigningKey.generate()
        #expect(throws: BundleTrustError.unknownKey(stranger.publicKey.id)) {
            try trusted.require(sealed.signed(by: stranger))
        }
        // The signature of this bundle behind another one, with digests that fit.
        let signature = try #require(sealed.signed(by: key).content(.signature))
        bundle.provenance.serial = 8
        let forged = try resigned(bundle.sealed(), signature)
        #expect {
            try trusted.require(forged)
        } throws: {
            $0 as? BundleTrustError
                == .invalidSignature("the signature is not that of key \(key.publicKey.id) (release)")
        }
        // A bundle says which key it is; that alone proves nothing.
        let byStranger = try #require(sealed.signed(by: stranger).content(.signature))
        let pretended = Array(signature.prefix(10) + byStranger.suffix(64))
        #expect(throws: BundleTrustError.self) { try trusted.require(resigned(sealed, pretended)) }
        #expect(throws: BundleTrustError.self) { try trusted.require(resigned(sealed, [1, 2, 3])) }
    }

    /// A bundle with these bytes for a signature; its frame is as it should be.
    private func resigned(_ sealed: BundleContainer, _ signature: [UInt8]) throws -> BundleContainer {
        try BundleContainer(decoding: sealed.bytes + Frame.section(0xff, signature))
    }

    @Test("A public key is read as it was written, and with one character changed not at all")
    func publicKeyText() throws {
        let key = try SigningKey.generate().publicKey
        let text = Array(key.text.utf8)
        #expect(BundleKey(text: text) == key)
        #expect(BundleKey(text: Array(text.dropLast())) == key)
        #expect(key.text.matches(of: /^untrusted comment: .+\nRW[A-Za-z0-9+\/]{54}\n$/).count == 1)
        let secondLine = try #require(text.firstIndex(of: UInt8(ascii: "\n"))) + 1
        for place in secondLine..<text.count - 1 {
            var damaged = text
            damaged[place] = damaged[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(BundleKey(text: damaged) == nil, "character \(place)")
        }
        for text in ["", "untrusted comment: x", "x\n\(key.text)", key.text + "x", key.text + "\n", "\u{0}"] {
            #expect(BundleKey(text: Array(text.utf8)) == nil)
        }
    }

    @Test("A key pair lies in two files, the private one for its owner alone, and neither is replaced")
    func keyFiles() throws {
        let directory = NSTemporaryDirectory() + "weir-bundle-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/release.key"
        let key = try SigningKeyFile.create(path)
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(path) == 0o600)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == [
                "release.key", "release.key.pub",
            ])
        #expect(try String(contentsOfFile: path + ".pub", encoding: .utf8) == key.text)
        let loaded = try SigningKeyFile.load(path)
        #expect(loaded.publicKey == key)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(throws: LoaderError.self) { try SigningKeyFile.create(path) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == text)

        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        #expect { try Self.load(path) } throws: { "\($0)".contains("has mode 640, so others can reach a signing key") }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        for damaged in ["", "x", text + "x", String(text.dropLast(2)), "no comment\n" + text] {
            try Data(damaged.utf8).write(to: URL(fileURLWithPath: path))
            #expect { try Self.load(path) } throws: { "\($0)".contains("holds no signing key") }
        }
        #expect { try Self.load(directory) } throws: { "\($0)".contains("is no file") }
        #expect { try Self.load(directory + "/none") } throws: { "\($0)".contains("weir bundle key") }
    }

    private static func load(_ path: String) throws { _ = try SigningKeyFile.load(path) }
}
