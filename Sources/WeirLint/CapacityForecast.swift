internal import WeirABI
internal import WeirCompiler
package import WeirDiagnostics
internal import WeirImage
internal import WeirMaps
package import WeirModel

/// How full the maps of one node will be, as `weir apply` would make them.
package struct CapacityForecast: Sendable, Encodable {
    package struct Map: Sendable, Encodable {
        package var map: String
        package var entries: Int
        /// With the room that apply leaves for later changes.
        package var maxEntries: Int
        package var limit: Int
        package var bytes: Int

        package init(map: String, entries: Int, maxEntries: Int, limit: Int, bytes: Int) {
            self.map = map
            self.entries = entries
            self.maxEntries = maxEntries
            self.limit = limit
            self.bytes = bytes
        }
    }

    /// nil: nobody is on any node.
    package var node: String?
    package var maps: [Map] = []

    /// - Parameter node: nil is the node with the most distinct rule sets, then the most endpoints.
    init(policies: PolicySet, inventory: Inventory, node: String?, options: PolicyOptions) {
        guard
            let node = node
                ?? PolicyAnalysis.fullestNode(policies: policies, inventory: inventory, options: options)
        else { return }
        self.node = node
        let image = Compiler.compile(policies: policies, inventory: inventory, node: node, options: options)
        maps = SlotMap.allCases.map { map in
            let entries = map == .endpoints ? image.endpoints.count : image.mapEntries(map).count
            let schema = map.schema(entries: entries, extraRoom: true)
            return Map(
                map: map.rawValue, entries: entries, maxEntries: schema.maxEntries, limit: schema.entryLimit,
                bytes: schema.estimatedBytes(entries: entries))
        }
        let rules = image.attributions.count
        maps.append(
            Map(
                map: NodeMap.rule_counters.rawValue, entries: rules, maxEntries: rules, limit: Int(WEIR_RULES_MAX),
                bytes: NodeMap.rule_counters.schema.estimatedBytes(entries: rules)))
        maps.sort { $0.map < $1.map }
    }

    /// Of a node whose maps are known.
    package init(node: String, maps: [Map]) {
        self.node = node
        self.maps = maps
    }

    /// From half of a limit on, at the node.
    package func findings(_ inventory: Inventory) -> [Diagnostic] {
        guard let node,
            let place = inventory.node(named: node)?.location
                ?? inventory.endpoints.first(where: { $0.node == node })?.location
        else { return [] }
        return maps.compactMap { map in
            guard map.maxEntries >= map.limit / 2 else { return nil }
            return Diagnostic(
                .warning, .capacity,
                "on node \(node) map '\(map.map)' needs \(map.maxEntries) entries; no kernel makes it larger than "
                    + "\(map.limit)", at: place)
        }
    }
}
