/// Rows that are measured together. One file each; `all` lists them.
package struct RowGroup: Sendable {
    /// The first part of its rows' names.
    package var name: String
    /// One line for `--help`.
    package var about: String
    /// Whether it needs root, a bpf file system and network namespaces.
    package var needsRoot: Bool
    /// Measures. Whatever it makes on the machine is gone when it returns or throws.
    package var rows: @Sendable (Run) throws -> [Row]

    package static let all = [
        CompileRows.group, SizeRows.group, ParseRows.group, LoadRows.group, PacketRows.group, NodeRows.group,
        EndpointRows.group,
        TrafficRows.group, LatencyRows.group, ChurnRows.group, WireGuardRows.group, DiffRows.group,
    ]
}

/// How thorough a run is, and what was asked for.
package struct Run: Sendable {
    /// Small sizes and one repetition: shows that everything runs, and says nothing about speed.
    package var isQuick: Bool
    /// Names of groups or rows, or beginnings of them; empty is everything.
    package var wanted: [String]

    package init(isQuick: Bool = false, wanted: [String] = []) {
        self.isQuick = isQuick
        self.wanted = wanted
    }

    package func wants(_ row: String) -> Bool { wanted.isEmpty || wanted.contains { row.hasPrefix($0) } }

    package func wants(_ group: RowGroup) -> Bool {
        wanted.isEmpty || wanted.contains { $0 == group.name || $0.hasPrefix(group.name + "/") }
    }

    /// One of two figures by thoroughness.
    package func choose<Value>(_ full: Value, quick: Value) -> Value { isQuick ? quick : full }
}
