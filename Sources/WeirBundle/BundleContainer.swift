internal import Crypto
internal import Foundation

/// Bytes that are no bundle of this version, or not whole.
package struct BundleFormatError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// The frame of a bundle: named sections in a fixed order, each with its length and its digest, then a digest over all of
/// them, then at most one signature over all of that.
///
///     offset  bytes
///          0      8  the magic `WEIRBUN` and a zero
///          8      4  version of the format
///         12      …  sections, in ascending order of their numbers, none twice:
///                      4  number
///                      4  length of the content
///                     32  SHA-256 of the content
///                      …  content
///
/// Integers are little-endian. Nothing stands between two sections or behind the last. A frame that can be read is
/// undamaged; only its signature says who made it. What a section holds is not looked at here.
package struct BundleContainer: Sendable {
    /// 1: first version.
    package static let formatVersion: UInt32 = 1

    package enum Section: UInt32, Hashable, Sendable, Comparable, CaseIterable {
        case provenance = 1
        case image = 2
        case tunnel = 3
        case access = 4
        case policies = 5
        case inventory = 6
        /// SHA-256 of every byte before it.
        case digest = 0xfe
        /// A `BundleSignature` of every byte before it.
        case signature = 0xff

        package var name: String { "\(self)" }

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// The whole file.
    package let bytes: [UInt8]
    private let places: [Section: Range<Int>]
    private let signedCount: Int

    private static let magic: [UInt8] = Array("WEIRBUN\0".utf8)
    /// Of an image that is not in a bundle.
    private static let imageMagic: [UInt8] = Array("WEIRIMG\0".utf8)
    private static let sectionHeaderSize = 4 + 4 + SHA256.byteCount
    private static let required: [Section] = [.provenance, .image, .access, .digest]

    // MARK: Writing

    /// - Parameter contents: whatever they say; `NodeBundle` makes those that can be read.
    package init(sealing contents: [Section: [UInt8]]) {
        var bytes = Self.magic + Self.integer(Self.formatVersion)
        var places: [Section: Range<Int>] = [:]
        for (section, content) in contents.sorted(by: { $0.key < $1.key }) {
            Self.append(section, content, to: &bytes, &places)
        }
        Self.append(.digest, Array(SHA256.hash(data: bytes)), to: &bytes, &places)
        self.bytes = bytes
        self.places = places
        signedCount = bytes.count
    }

    /// The same bundle with a signature behind it, in place of one that it may have.
    package func signed(by key: borrowing SigningKey) throws(SigningKey.Unusable) -> BundleContainer {
        var bytes = Array(bytes[..<signedCount])
        var places = places
        Self.append(.signature, try key.signature(of: bytes).encoded, to: &bytes, &places)
        return BundleContainer(bytes: bytes, places: places, signedCount: signedCount)
    }

    private init(bytes: [UInt8], places: [Section: Range<Int>], signedCount: Int) {
        self.bytes = bytes
        self.places = places
        self.signedCount = signedCount
    }

    private static func append(
        _ section: Section, _ content: [UInt8], to bytes: inout [UInt8], _ places: inout [Section: Range<Int>]
    ) {
        bytes += integer(section.rawValue) + integer(UInt32(content.count)) + Array(SHA256.hash(data: content))
        places[section] = bytes.count..<bytes.count + content.count
        bytes += content
    }

    private static func integer(_ value: UInt32) -> [UInt8] {
        stride(from: UInt32(0), to: 32, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    // MARK: Reading

    /// Takes the frame apart and checks every digest. Nothing is allocated by what the bytes say of their sizes.
    package init(decoding bytes: [UInt8]) throws(BundleFormatError) {
        var rest = bytes[...]
        let magic = rest.prefix(Self.magic.count)
        guard magic.elementsEqual(Self.magic) else {
            throw BundleFormatError(
                magic.elementsEqual(Self.imageMagic)
                    ? "an image without a bundle around it; compile it again with this weir" : "not a weir bundle")
        }
        rest = rest.dropFirst(Self.magic.count)
        let version = try Self.takeInteger(&rest)
        guard version == Self.formatVersion else {
            throw BundleFormatError(
                "a bundle of format \(version), and this weir reads \(Self.formatVersion); use a weir that fits, or "
                    + "compile the bundle again")
        }
        var places: [Section: Range<Int>] = [:]
        var last: Section?
        var signedCount = bytes.count
        while !rest.isEmpty {
            let start = rest.startIndex
            let number = try Self.takeInteger(&rest)
            guard let section = Section(rawValue: number) else {
                throw BundleFormatError("the bundle is damaged: it has a section of the unknown kind \(number)")
            }
            if let last, section <= last {
                throw BundleFormatError("the bundle is damaged: its sections are out of order")
            }
            let content = try Self.takeContent(&rest, of: section)
            if section == .digest {
                guard SHA256.hash(data: bytes[..<start]).elementsEqual(content) else {
                    throw BundleFormatError("the bundle is damaged: its digest does not fit")
                }
            } else if section == .signature {
                signedCount = start
            }
            places[section] = content.indices
            last = section
        }
        for section in Self.required where places[section] == nil {
            throw BundleFormatError("the bundle is damaged: it has no section '\(section.name)'")
        }
        self.init(bytes: bytes, places: places, signedCount: signedCount)
    }

    private static func takeInteger(_ rest: inout ArraySlice<UInt8>) throws(BundleFormatError) -> UInt32 {
        guard rest.count >= 4 else { throw BundleFormatError("the bundle ends too early") }
        defer { rest = rest.dropFirst(4) }
        return rest.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func takeContent(
        _ rest: inout ArraySlice<UInt8>, of section: Section
    ) throws(BundleFormatError) -> ArraySlice<UInt8> {
        let count = Int(try takeInteger(&rest))
        guard rest.count >= SHA256.byteCount, rest.count - SHA256.byteCount >= count else {
            throw BundleFormatError("the bundle ends too early, in its section '\(section.name)'")
        }
        let digest = rest.prefix(SHA256.byteCount)
        let content = rest.dropFirst(SHA256.byteCount).prefix(count)
        guard SHA256.hash(data: content).elementsEqual(digest) else {
            throw BundleFormatError("the bundle is damaged: its section '\(section.name)' does not fit its digest")
        }
        rest = rest.dropFirst(SHA256.byteCount + count)
        return content
    }

    // MARK: What is there

    /// nil where the bundle has no such section.
    package func content(_ section: Section) -> [UInt8]? { places[section].map { Array(bytes[$0]) } }

    /// In their order, with the sizes of their contents.
    package var sections: [(section: Section, size: Int)] {
        places.sorted { $0.key < $1.key }.map { ($0.key, $0.value.count) }
    }

    /// SHA-256 of everything but itself and the signature: a signed bundle has the digest of the same one unsigned.
    package var digest: [UInt8] { content(.digest) ?? [] }

    /// What a signature covers.
    package var signedBytes: ArraySlice<UInt8> { bytes[..<signedCount] }

    /// nil where nobody signed it. Throws where that is no signature.
    package func signature() throws(BundleFormatError) -> BundleSignature? {
        guard let content = content(.signature) else { return nil }
        guard let signature = BundleSignature(encoded: content) else {
            throw BundleFormatError("the bundle's signature is none that weir knows")
        }
        return signature
    }
}
