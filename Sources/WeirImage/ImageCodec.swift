internal import Crypto
internal import WeirDiagnostics
internal import WeirABI
internal import WeirMaps
internal import WeirModel

/// A stored image is damaged or of another version.
package struct ImageFormatError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
}

/// The bytes of an image: the magic `WEIRIMG`, the versions of format and ABI, two length-prefixed parts, and the SHA-256
/// of everything before it. The first
/// part is what is enforced (maps, endpoints, attributions by structure) and is what `digest` covers. The second is
/// where the rules are written; moving a policy to another line changes it and not the digest.
///
/// All integers are little-endian. Strings and arrays have a 32-bit count before them.
extension Image {
    /// 1: first version.
    package static let formatVersion: UInt32 = 1
    private static let magic: [UInt8] = Array("WEIRIMG\0".utf8)

    /// SHA-256 of the enforced part, 32 bytes.
    package var digest: [UInt8] { Array(SHA256.hash(data: enforcedPart())) }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(Self.magic)
        writer.integer(Self.formatVersion)
        writer.integer(UInt32(WEIR_ABI_VERSION))
        writer.bytes(enforcedPart())
        writer.bytes(locationPart())
        return writer.output + Self.checksum(writer.output)
    }

    private static func checksum(_ bytes: some Collection<UInt8>) -> [UInt8] {
        Array(SHA256.hash(data: Array(bytes)))
    }

    private func enforcedPart() -> [UInt8] {
        var writer = ByteWriter()
        writer.string(node)
        writer.array(nodeAddresses) { $0.bytes($1.bytes) }
        writer.array(endpoints) { writer, endpoint in
            writer.string(endpoint.name)
            writer.integer(endpoint.id)
            writer.array(endpoint.addresses) { $0.bytes($1.bytes) }
            writer.bytes(endpoint.value)
            switch endpoint.attachment {
            case .byAddress: writer.string("")
            case .interface(let name): writer.string("i\(name)")
            case .networkNamespace(let name): writer.string("n\(name)")
            case nil: writer.string("h")
            }
        }
        writer.array(SlotMap.allCases.sorted()) { writer, map in
            writer.string(map.rawValue)
            writer.array(entries(map)) { writer, entry in
                writer.bytes(entry.key)
                writer.bytes(entry.value)
            }
        }
        writer.array(attributions) { writer, attribution in
            writer.array(attribution) { writer, origin in
                writer.string(origin.kind.rawValue)
                writer.string(origin.namespace ?? "")
                writer.string(origin.name)
                writer.integer(UInt32(origin.spec))
                writer.string(origin.section ?? "")
                writer.integer(UInt32(origin.index))
            }
        }
        writer.array(identities) { $0.string($1) }
        writer.integer(UInt32(groupCount))
        return writer.output
    }

    private func locationPart() -> [UInt8] {
        var writer = ByteWriter()
        for origin in attributions.joined() {
            writer.string(origin.location.path)
            writer.integer(UInt32(origin.location.line))
            writer.integer(UInt32(origin.location.column))
        }
        return writer.output
    }

    package init(decoding bytes: [UInt8]) throws(ImageFormatError) {
        var reader = ByteReader(bytes)
        guard try reader.raw(Self.magic.count) == Self.magic else {
            throw ImageFormatError(description: "not a weir image")
        }
        let version: UInt32 = try reader.integer()
        let abi: UInt32 = try reader.integer()
        guard version == Self.formatVersion, abi == UInt32(WEIR_ABI_VERSION) else {
            throw ImageFormatError(
                description: "image format \(version) with ABI \(abi); this weir reads "
                    + "\(Self.formatVersion) with ABI \(WEIR_ABI_VERSION)")
        }
        let covered = bytes.dropLast(SHA256.byteCount)
        guard Self.checksum(covered)[...] == bytes.suffix(SHA256.byteCount) else {
            throw ImageFormatError(description: "the image is damaged: its checksum does not fit")
        }
        var enforced = ByteReader(try reader.bytes())
        var locations = ByteReader(try reader.bytes())
        _ = try reader.raw(SHA256.byteCount)
        try reader.finish()

        node = try enforced.string()
        nodeAddresses = try enforced.array { reader throws(ImageFormatError) in try reader.address() }
        endpoints = try enforced.array { reader throws(ImageFormatError) in
            let name = try reader.string()
            let id: UInt32 = try reader.integer()
            let addresses = try reader.array { reader throws(ImageFormatError) in try reader.address() }
            let value = try reader.bytes()
            let hint = try reader.string()
            let attachment: Endpoint.Attachment?
            switch hint.first {
            case nil: attachment = .byAddress
            case "i": attachment = .interface(String(hint.dropFirst()))
            case "n": attachment = .networkNamespace(String(hint.dropFirst()))
            case "h": attachment = nil
            default: throw ImageFormatError(description: "unknown attachment '\(hint)' of endpoint \(name)")
            }
            return EndpointRecord(name: name, id: id, addresses: addresses, value: value, attachment: attachment)
        }
        var maps: [SlotMap: [MapEntry]] = [:]
        let sections = try enforced.array { reader throws(ImageFormatError) in
            let name = try reader.string()
            guard let map = SlotMap(rawValue: name) else {
                throw ImageFormatError(description: "unknown map '\(name)'")
            }
            let entries = try reader.array { reader throws(ImageFormatError) in
                MapEntry(key: try reader.bytes(), value: try reader.bytes())
            }
            // The words of `peers` lie one by one in an image.
            let valueSize = map == .peers ? MemoryLayout<UInt32>.size : map.schema.valueSize
            guard entries.allSatisfy({ $0.key.count == map.schema.keySize && $0.value.count == valueSize }) else {
                throw ImageFormatError(description: "an entry of '\(name)' has the wrong size")
            }
            return (map, entries)
        }
        for (map, entries) in sections where !entries.isEmpty { maps[map] = entries }
        self.maps = maps
        attributions = try enforced.array { reader throws(ImageFormatError) in
            try reader.array { reader throws(ImageFormatError) in
                let kindName = try reader.string()
                guard let kind = PolicyKind(rawValue: kindName) else {
                    throw ImageFormatError(description: "unknown policy kind '\(kindName)'")
                }
                let namespace = try reader.string()
                let name = try reader.string()
                let spec: UInt32 = try reader.integer()
                let section = try reader.string()
                let index: UInt32 = try reader.integer()
                let location = SourceLocation(
                    path: try locations.string(), line: Int(try locations.integer() as UInt32),
                    column: Int(try locations.integer() as UInt32))
                return RuleOrigin(
                    kind: kind, namespace: namespace.isEmpty ? nil : namespace, name: name, spec: Int(spec),
                    section: section.isEmpty ? nil : section, index: Int(index), location: location)
            }
        }
        identities = try enforced.array { reader throws(ImageFormatError) in try reader.string() }
        groupCount = Int(try enforced.integer() as UInt32)
        try enforced.finish()
        try locations.finish()
    }
}

private struct ByteWriter {
    var output: [UInt8] = []

    mutating func raw(_ bytes: [UInt8]) { output += bytes }

    mutating func integer(_ value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { output.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func bytes(_ bytes: [UInt8]) {
        integer(UInt32(bytes.count))
        raw(bytes)
    }

    mutating func string(_ text: String) { bytes(Array(text.utf8)) }

    mutating func array<Element>(_ elements: [Element], _ write: (inout ByteWriter, Element) -> Void) {
        integer(UInt32(elements.count))
        for element in elements { write(&self, element) }
    }
}

private struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    mutating func raw(_ count: Int) throws(ImageFormatError) -> [UInt8] {
        guard rest.count >= count else { throw ImageFormatError(description: "the image ends too early") }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func integer() throws(ImageFormatError) -> UInt32 {
        try raw(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func bytes() throws(ImageFormatError) -> [UInt8] { try raw(Int(try integer())) }

    mutating func string() throws(ImageFormatError) -> String {
        guard let text = String(validating: try bytes(), as: UTF8.self) else {
            throw ImageFormatError(description: "a name in the image is not UTF-8")
        }
        return text
    }

    mutating func address() throws(ImageFormatError) -> IPAddress {
        guard let address = IPAddress(bytes: try bytes()) else {
            throw ImageFormatError(description: "an address in the image has the wrong size")
        }
        return address
    }

    mutating func array<Element>(
        _ read: (inout ByteReader) throws(ImageFormatError) -> Element
    ) throws(ImageFormatError) -> [Element] {
        var elements: [Element] = []
        for _ in 0..<(try integer()) { elements.append(try read(&self)) }
        return elements
    }

    func finish() throws(ImageFormatError) {
        guard rest.isEmpty else { throw ImageFormatError(description: "\(rest.count) bytes after the image's end") }
    }
}
