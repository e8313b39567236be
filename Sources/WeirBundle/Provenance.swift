internal import Crypto
internal import Foundation

/// Where a bundle comes from: what made it, for which node, of which files and with which options.
package struct Provenance: Hashable, Sendable, Codable {
    /// A file that was read.
    package struct Input: Hashable, Sendable, Codable {
        /// As it was given or found; `-` is standard input.
        package var path: String
        /// In hexadecimal.
        package var sha256: String

        package init(path: String, sha256: String) {
            self.path = path
            self.sha256 = sha256
        }
    }

    /// The version of the weir that compiled it.
    package var weir: String
    package var abi: UInt32
    package var node: String
    /// Never decreases from one bundle of a node to the next; a node refuses a lower one.
    package var serial: UInt64
    /// Seconds since 1970, where somebody said them: no clock is read.
    package var created: Int64?
    /// Such as a commit.
    package var sourceRevision: String?
    /// What changes the meaning of policies, by the option's name.
    package var options: [String: String]
    /// Sorted by path, each once.
    package var inputs: [Input]

    package init(
        weir: String, abi: UInt32, node: String, serial: UInt64 = 0, created: Int64? = nil,
        sourceRevision: String? = nil, options: [String: String] = [:], inputs: [Input] = []
    ) {
        self.weir = weir
        self.abi = abi
        self.node = node
        self.serial = serial
        self.created = created
        self.sourceRevision = sourceRevision
        self.options = options
        self.inputs = Set(inputs).sorted { ($0.path, $0.sha256) < ($1.path, $1.sha256) }
    }

    /// `2026-11-21T20:15:00Z`.
    package var createdText: String? {
        created.map { Date(timeIntervalSince1970: TimeInterval($0)).formatted(.iso8601) }
    }

    /// The seconds that a text of that form, or a number of them, stands for. nil for anything else.
    package static func seconds(_ text: String) -> Int64? {
        // The last second of the year 9999.
        let possible: ClosedRange<Int64> = 0...253_402_300_799
        let seconds = Int64(text) ?? (try? Date(text, strategy: .iso8601)).map { Int64($0.timeIntervalSince1970) }
        return seconds.flatMap { possible.contains($0) ? $0 : nil }
    }
}

/// What a node needs besides the image, so that it cuts itself off from nothing.
package struct NodeAccess: Hashable, Sendable, Codable {
    /// As texts, sorted: a host policy that leaves none of their ports open is refused.
    package var apiServers: [String]

    package init(apiServers: [String]) { self.apiServers = Set(apiServers).sorted() }
}

/// JSON of which equal values have equal bytes, and of which only those bytes are taken.
enum CanonicalJSON {
    static func encoded(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("these are texts, lists and whole numbers")
        }
        return Array(data)
    }

    /// nil where `bytes` are not what `encoded` makes of a value.
    static func decode<Value: Codable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
        guard let value = try? JSONDecoder().decode(type, from: Data(bytes)), encoded(value) == bytes else {
            return nil
        }
        return value
    }
}
