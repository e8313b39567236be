internal import FoundationEssentials
internal import WeirKernel
internal import WeirMaps
internal import WeirModel
internal import WeirNetlink

/// What a node was told and remembers, beside what is in force. Part of the JSON of `weir status` and `weir doctor`.
package struct LocalStatus: Hashable, Sendable, Codable {
    /// An interface that lets nothing pass.
    package struct Denied: Hashable, Sendable, Codable {
        package var interface: String
        package var interfaceIndex: UInt32
        /// nil: nobody said whose it is.
        package var endpoint: String?
        package var reason: String
        /// Dropped since then, both directions together.
        package var packets: UInt64
        package var bytes: UInt64
    }

    /// Since the policy in force, or that was before a reboot, was applied; nil where none was.
    package var policyAgeSeconds: Int64?
    /// Since the newest of its files was written, or a bundle was made; nil where nobody said.
    package var inventoryAgeSeconds: Int64?
    /// Somebody ran detach after the last apply.
    package var isOpened = false
    /// Sorted by index.
    package var denied: [Denied] = []
    /// Endpoints of this node in the inventory that have no interface here, sorted.
    package var absentEndpoints: [String] = []
    /// Interfaces that lead into other network namespaces and that nobody judges, sorted by name. Those with an address of
    /// their own or a default route are the node's.
    package var unjudgedInterfaces: [String] = []

    /// Nothing that a person would miss.
    package var isEmpty: Bool { policyAgeSeconds == nil && !isOpened && denied.isEmpty }
}

extension Loader {
    /// - Parameter judged: interfaces on which programs of this set run.
    func localStatus(judged: Set<UInt32>) throws -> LocalStatus {
        var status = LocalStatus()
        // Where it is damaged, doctor says so; what is denied is there all the same.
        let lastGood = (try? state.lastGood()) ?? LastGood()
        status.isOpened = lastGood.isOpened
        if let kept = lastGood.inForce {
            let now = Int64(Date().timeIntervalSince1970)
            status.policyAgeSeconds = max(0, now - kept.appliedAt)
            status.inventoryAgeSeconds = kept.inventoryTime.map { max(0, now - $0) }
            status.absentEndpoints = kept.absent
        }
        let netlink = Netlink()
        let interfaces = try netlink.interfaces()
        let names = Dictionary(interfaces.map { ($0.index, $0.name) }) { $1 }
        let denied = try state.denied().filter { names[$0.index] != nil }
        status.denied = try denied.compactMap { entry in
            guard let found = try Quarantine.state(of: entry.index) else { return nil }
            return LocalStatus.Denied(
                interface: names[entry.index] ?? entry.interface, interfaceIndex: entry.index,
                endpoint: entry.endpoint, reason: entry.reason,
                packets: found.hooks.reduce(0) { $0 + $1.packets }, bytes: found.hooks.reduce(0) { $0 + $1.bytes })
        }
        let own = try netlink.defaultRouteInterfaces().union(
            try netlink.addresses().filter {
                !$0.address.isLinkLocal
            }.map(\.interface))
        let known = judged.union(own).union(denied.map(\.index))
        status.unjudgedInterfaces =
            interfaces
            .filter { $0.isPairEnd && $0.peerNamespaceID != nil && !known.contains($0.index) }.map(\.name).sorted()
        return status
    }
}
