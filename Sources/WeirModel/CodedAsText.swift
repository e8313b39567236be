/// Files and JSON have it as it is written.
package protocol CodedAsText: Codable, CustomStringConvertible {
    /// What a reader of a text that is none is told.
    static var noun: String { get }

    init?(_ text: String)
}

extension CodedAsText {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no \(Self.noun)")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
