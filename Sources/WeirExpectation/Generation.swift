internal import WeirFlow
internal import WeirModel

extension ExpectationRun {
    /// A first file: everything that is allowed today, by workloads, and that nothing else is. It passes at once.
    ///
    /// Equal policies and inventories give equal files. Outside of the cluster a few addresses stand for all.
    ///
    /// - Parameter sources: how the command line names them, for the first lines.
    package func generated(sources: String) throws -> String {
        let classes = try EndpointClasses(inventory.endpoints.map(\.qualifiedName), judge)
        let outside = OutsideAddresses(policies, inventory)
        // Classes say nothing about who is outside.
        let workloads = try Workloads(inventory) { name in
            try [classes[name] ?? -1]
                + outside.addresses.flatMap { address -> [Int] in
                    let (pod, other) = (Flow.Peer.endpoint(name), Flow.Peer.address(address))
                    guard judge.has(address.family, pod) else { return [-1, -1] }
                    return [
                        try judge.sides(pod, other, address.family).egress ?? -1,
                        try judge.sides(other, pod, address.family).ingress ?? -1,
                    ]
                }
        }
        let pairs = EndPairs(judge: judge, classes: classes)
        let everybody = Ends(peers: [], endpoints: inventory.endpoints.map(\.qualifiedName).sorted(), text: "")
        let elsewhere = Ends(peers: outside.addresses.map(Flow.Peer.address), endpoints: [], text: "")
        /// Workloads by position; addresses from there on.
        func mark(_ peer: Flow.Peer) -> [Int] {
            switch peer {
            case .endpoint(let name): [workloads.position(name)]
            case .address(let address): [workloads.all.count + (outside.addresses.firstIndex(of: address) ?? 0)]
            case .host, .remoteNode: []
            }
        }
        func texts(_ marks: Set<Int>) -> [String] {
            let addresses = marks.filter { $0 >= workloads.all.count }.sorted()
            return addresses.map { "\"ip:\(outside.addresses[$0 - workloads.all.count])\"" }
                + (addresses.isEmpty ? workloads.texts(marks) : [])
        }
        var sections: [(title: String, flows: [AllowedFlows])] = []
        for (title, from, to) in [
            ("Inside the cluster.", everybody, everybody), ("From outside.", elsewhere, everybody),
            ("To the outside.", everybody, elsewhere),
        ] {
            let met = try pairs.meetings(from, to, AddressFamily.allCases, apart: mark)
            let flows = AllowedFlows.merged(met.meetings, judge) { sources, destination in
                // A workload of one endpoint meets itself nowhere: it may be added where that says it shorter.
                guard destination < workloads.all.count, workloads.all[destination].members.count == 1 else {
                    return sources
                }
                let wider = sources.union([destination])
                return texts(wider).count < texts(sources).count || texts(wider) == ["{}"] ? wider : sources
            }
            sections.append((title, flows))
        }

        var lines = [
            "# What these policies allowed when this was written, by",
            "#   weir test --generate \(String(sources.map { $0.isNewline ? " " : $0 }))",
            "# Read it as a question: is each of these meant? Keep what is, and give it a name.",
        ]
        if !outside.addresses.isEmpty {
            lines.append(
                "# Outside of the cluster one address stands for each prefix that rules name, and one for the rest.")
        }
        if outside.omitted > 0 { lines.append("# \(outside.omitted) prefixes have no address here.") }
        lines += ["apiVersion: weir.dev/v1", "kind: Expectations", "metadata: {name: today}", "spec:"]
        if sections.contains(where: { !$0.flows.isEmpty }) { lines.append("  flows:") }
        for (title, flows) in sections where !flows.isEmpty {
            lines.append("    # \(title)")
            for flow in flows {
                lines += ["    - from: \(Self.list(texts(flow.from)))", "      to: \(Self.list(texts(flow.to)))"]
                lines.append("      ports: \(Self.list(flow.ports))")
                if let family = flow.family { lines.append("      family: \(family.rawValue)") }
                lines.append("      expect: allow")
            }
        }
        lines += ["  noOtherFlows:", "    - between: {}"]
        if !outside.addresses.isEmpty {
            let addresses = Self.list(outside.addresses.map { "\"ip:\($0)\"" })
            lines += ["    - from: \(addresses)", "      to: {}", "    - from: {}", "      to: \(addresses)"]
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// One item as it is, several between brackets.
    private static func list(_ items: [String]) -> String {
        items.count == 1 ? items[0] : "[\(items.joined(separator: ", "))]"
    }
}
