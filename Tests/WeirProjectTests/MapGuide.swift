import WeirMaps

/// `MapReference.md`, from the header and the schemas.
struct MapGuide {
    let header: ABIHeader

    /// What a map is for, and the structures that its bytes are; a name without `weir_` is an integer.
    struct Words {
        var key: String
        var value: String
        var purpose: String
    }

    static func words(_ map: SlotMap) -> Words {
        switch map {
        case .endpoints:
            Words(key: "interface index (u32)", value: "weir_endpoint", purpose: "who is behind an interface")
        case .ipcache4, .ipcache6:
            Words(
                key: map == .ipcache4 ? "weir_address4" : "weir_address6", value: "weir_peer",
                purpose: "who has an address: pods, nodes, the API server, Services")
        case .cidrs4, .cidrs6:
            Words(
                key: map == .cidrs4 ? "weir_cidr4" : "weir_cidr6", value: "weir_peer",
                purpose: "the group of every address that \(map == .cidrs4 ? "`ipcache4`" : "`ipcache6`") does not have"
            )
        case .peers: Words(key: "index (u32)", value: "weir_actions", purpose: "the action for a row and a group")
        case .verdicts:
            Words(
                key: "weir_verdict_key", value: "action (u32)", purpose: "ranges of ports, where the action is a table")
        }
    }

    static func words(_ map: NodeMap) -> Words {
        let (key, value, purpose) =
            switch map {
            case .control: ("0 (u32)", "weir_control", "which policy is in force: one aligned store commits")
            case .slot_meta: ("slot (u32)", "weir_slot_meta", "what a slot holds, and whether it is complete")
            case .conntrack4: ("weir_flow4", "weir_conntrack", "IPv4 flows of which a reply was seen")
            case .conntrack4_new:
                ("weir_flow4", "weir_conntrack", "IPv4 flows before that, so that a flood cannot push out the others")
            case .conntrack6: ("weir_flow6", "weir_conntrack", "IPv6 flows of which a reply was seen")
            case .conntrack6_new: ("weir_flow6", "weir_conntrack", "IPv6 flows before that")
            case .fragments: ("weir_fragment_key", "weir_fragment", "datagrams whose first fragment passed")
            case .rule_counters: ("slot and rule (u32)", "weir_counter", "what each rule decided")
            case .drops: ("reason and direction (u32)", "weir_counter", "what was dropped, and why")
            case .events: ("", "weir_event", "records for `weir monitor`")
            case .monitor: ("0 (u32)", "weir_monitor", "which events somebody wants, and until when")
            case .monitor_state: ("0 (u32)", "weir_monitor_state", "what was counted for that")
            case .fence:
                ("0 (u32)", "map id (u32)", "nothing: an update of it waits until no program reads what was replaced")
            }
        return Words(key: key, value: value, purpose: purpose)
    }

    var text: String {
        let version = header.enumerations.flatMap(\.constants).first { $0.name == "WEIR_ABI_VERSION" }?.value ?? 0
        var lines = [
            "# Map reference", "", GuideText.notice, "",
            "Every map of the datapath, every field of every structure: ABI version \(version).", "",
            "Maps are pinned below `PIN/maps` (`/sys/fs/bpf/weir/maps` without `--pin-path`), and carry BTF types. `weir map dump` shows",
            "their entries with names; `bpftool map dump pinned /sys/fs/bpf/weir/maps/control` shows the same bytes without.",
            "Integers are in the machine's byte order except where a table says *network*. *bytes* are in the order in which they",
            "stand on the wire. Padding is always zero.", "",
            "## Maps of a slot", "",
            "Each is an array of two maps, one for each slot; the low bit of the revision in `control` says which one packets read.",
            "Their sizes come from the policy, with a quarter and 64 entries more for pods that come later (not in `peers`).",
            "",
            "| map | type | key | value | bytes of key and value | what it holds |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += SlotMap.allCases.sorted().map { row($0.schema, Self.words($0), hasSize: false) }
        lines += [
            "", "## Maps of the node", "", "They outlive a policy.", "",
            "| map | type | key | value | bytes of key and value | entries | what it holds |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += NodeMap.allCases.sorted().map { row($0.schema, Self.words($0), hasSize: true) }
        lines += ["", "## Structures"]
        for structure in header.structures { lines += section(structure) }
        lines += ["", "## Constants"]
        for enumeration in header.enumerations { lines += section(enumeration) }
        return lines.joined(separator: "\n") + "\n"
    }

    private func row(_ schema: MapSchema, _ words: Words, hasSize: Bool) -> String {
        let entries =
            schema.type == .ringBuffer ? "\(schema.maxEntries) bytes" : "\(schema.maxEntries)"
        let cells =
            [
                "`\(schema.name)`", schema.type.rawValue, link(words.key), link(words.value),
                "\(schema.keySize), \(schema.valueSize)",
            ]
            + (hasSize ? [entries] : []) + [words.purpose]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    private func link(_ name: String) -> String {
        name.hasPrefix("weir_") ? "[`\(name)`](#\(name))" : name
    }

    private func section(_ structure: ABIHeader.Structure) -> [String] {
        var lines = ["", "### \(structure.name)", "", "\(structure.size) bytes. \(structure.comment)"]
        lines += [
            "", "| offset | size | field | type | byte order | meaning |", "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += structure.fields.map { field in
            let cells = [
                "\(field.offset)", "\(field.size)", "`\(field.name)`", field.type, field.byteOrder, cell(field.comment),
            ]
            return "| " + cells.joined(separator: " | ") + " |"
        }
        return lines
    }

    private func section(_ enumeration: ABIHeader.Enumeration) -> [String] {
        let names = enumeration.constants.map { $0.name }
        let title = enumeration.name ?? names.first ?? ""
        var lines = ["", "### \(title)", ""]
        if !enumeration.comment.isEmpty { lines += [enumeration.comment, ""] }
        lines += ["| value | name | meaning |", "| --- | --- | --- |"]
        lines += enumeration.constants.map { "| \(number($0.value)) | `\($0.name)` | \(cell($0.comment)) |" }
        return lines
    }

    private func cell(_ comment: String) -> String { comment.replacing("|", with: "\\|") }

    private func number(_ value: Int) -> String { value < 1 << 20 ? "\(value)" : "0x" + String(value, radix: 16) }
}
