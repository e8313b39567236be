internal import WeirImage
package import WeirModel

/// One value of a row.
package enum Cell: Hashable, Sendable {
    case text(String)
    case number(UInt64)
    case flag(Bool)
    case list([String])
    /// Labels as an identity's name has them, or of several identities with `; ` between; in a table without those that
    /// only repeat the namespace's and the cluster's.
    case labels(String)
    /// Not known, or without meaning here: `-`, in JSON null.
    case none

    package init(_ text: String?) { self = text.map { .text($0) } ?? .none }
    package init(labels: String?) { self = labels.map { .labels($0) } ?? .none }
    package init(_ number: (some UnsignedInteger)?) { self = number.map { .number(UInt64($0)) } ?? .none }

    /// A table shows this many elements of a list.
    private static let shownElements = 4

    /// As a table has it.
    ///
    /// - Parameter isWide: nothing is shortened.
    package func text(isWide: Bool) -> String {
        switch self {
        case .text(let text): text.isEmpty ? "-" : text
        case .number(let number): String(number)
        case .flag(let flag): flag ? "yes" : "no"
        case .list(let list) where !isWide && list.count > Self.shownElements:
            list.prefix(Self.shownElements - 1).joined(separator: ", ") + ", +\(list.count - Self.shownElements + 1)"
        case .list(let list): list.isEmpty ? "-" : list.joined(separator: ", ")
        case .labels(let text): isWide ? text : text.split(separator: "; ").map(Self.short).joined(separator: "; ")
        case .none: "-"
        }
    }

    /// `app=api,namespace=shop` of all that Kubernetes says.
    private static func short(_ labels: Substring) -> String {
        let namespace = "io.kubernetes.pod.namespace="
        let plain = labels.split(separator: ",").map { $0.hasPrefix("k8s:") ? $0.dropFirst(4) : $0 }
        let own = plain.filter { !$0.hasPrefix("io.cilium.k8s.") }
            .map { $0.hasPrefix(namespace) ? "namespace=" + $0.dropFirst(namespace.count) : String($0) }
        return own.isEmpty ? String(labels) : own.joined(separator: ",")
    }

    fileprivate func write(_ bytes: inout [UInt8]) {
        switch self {
        case .text(let text), .labels(let text): bytes.append(quoted: text)
        case .number(let number): bytes += String(number).utf8
        case .flag(let flag): bytes += (flag ? "true" : "false").utf8
        case .list(let list):
            bytes.append(UInt8(ascii: "["))
            for (index, text) in list.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(quoted: text)
            }
            bytes.append(UInt8(ascii: "]"))
        case .none: bytes += "null".utf8
        }
    }
}

/// One decoded entry: a cell for each column, and what it is about for whoever looks for something.
package struct Row: Hashable, Sendable {
    package var cells: [Cell]
    package var subject: Subject

    package init(_ cells: [Cell], about subject: Subject = Subject()) {
        self.cells = cells
        self.subject = subject
    }

    package struct Subject: Hashable, Sendable {
        package var addresses: [IPAddress] = []
        package var prefix: Prefix?
        package var group: UInt32?
        /// `path:line`.
        package var rules: [String] = []
        /// `namespace/name`.
        package var endpoints: [String] = []

        package init() {}
    }
}

/// Rows under their columns. Prints as a table, or as JSON with the columns' names as keys.
///
/// JSON is written here, line by line: a general encoder takes seconds for the entries of a large map.
package struct Listing: Sendable {
    /// In `lowerCamelCase`, as JSON has them.
    package var columns: [String]
    package var rows: [Row]

    package init(columns: [String], rows: [Row]) {
        self.columns = columns
        self.rows = rows
    }

    /// `EGRESS PACKETS` for `egressPackets`.
    package var header: [String] {
        columns.map { column in
            column.reduce(into: "") { text, letter in
                if letter.isUppercase { text.append(" ") }
                text += letter.uppercased()
            }
        }
    }

    /// One object, without a line end.
    package func jsonObject(_ row: Row) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for (index, (column, cell)) in zip(columns, row.cells).enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(quoted: column)
            bytes.append(UInt8(ascii: ":"))
            cell.write(&bytes)
        }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}

extension [UInt8] {
    fileprivate mutating func append(quoted text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): self += [UInt8(ascii: "\\"), byte]
            case ..<0x20: self += "\\u00\([byte].hexadecimal)".utf8
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}
