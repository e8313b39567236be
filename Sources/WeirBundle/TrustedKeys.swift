/// Who may sign.
package struct TrustedKeys: Hashable, Sendable {
    package struct Key: Hashable, Sendable {
        /// Of its file.
        package var name: String
        package var key: BundleKey

        package init(name: String, key: BundleKey) {
            self.name = name
            self.key = key
        }
    }

    private let keys: [Key]

    package init(_ keys: [Key]) { self.keys = keys }

    /// Throws unless one of these keys made the bundle's signature. Only the frame was read until then.
    package func require(_ container: BundleContainer) throws(BundleTrustError) -> Key {
        let signature: BundleSignature?
        do throws(BundleFormatError) { signature = try container.signature() } catch {
            throw .invalidSignature(error.description)
        }
        guard let signature else { throw .unsigned }
        guard let key = keys.first(where: { $0.key.id == signature.key }) else { throw .unknownKey(signature.key) }
        guard key.key.isValid(signature, of: container.signedBytes) else {
            throw .invalidSignature("the signature is not that of key \(signature.key) (\(key.name))")
        }
        return key
    }
}

/// Why a bundle is not trusted.
package enum BundleTrustError: Error, Hashable, Sendable, CustomStringConvertible {
    case unsigned
    case unknownKey(BundleKeyID)
    /// Of a key that is trusted, over other bytes than these, or nothing that could be a signature.
    case invalidSignature(String)

    package var description: String {
        switch self {
        case .unsigned: "the bundle is not signed"
        case .unknownKey(let id): "the bundle is signed by key \(id), which is not trusted here"
        case .invalidSignature(let problem): problem
        }
    }

    package var hint: String {
        switch self {
        case .unsigned: "compile it with --sign KEYFILE"
        case .unknownKey: "sign it with another key, or add that key's .pub file to the trusted ones"
        case .invalidSignature: "it was changed after it was signed: get it again from where it was made"
        }
    }
}
