import Testing

import WeirWireGuard

@Suite("Keys")
struct KeyTests {
    @Test("a public key is 44 characters of base64 that stand for 32 bytes, and nothing else")
    func base64() {
        #expect(PublicKey(base64: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")?.isZero == true)
        #expect(PublicKey(base64: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=") == nil)
    }
}
