internal import WeirImage
package import WeirKernel
internal import WeirNetlink

/// Which devices of this node encrypt, for the programs that let nothing else reach other nodes' pods.
extension Loader {
    /// Devices by lane: the one in use, and the one that is there beside it while keys rotate.
    package static let tunnelInterfaces = ["weir-wg0", "weir-wg1"]

    /// What the tunnel's devices are called in this network namespace, and their index. A device of another kind than
    /// WireGuard's own, or a user-space one's, is none.
    func presentTunnels() throws -> Tunnels {
        let interfaces = try Netlink().interfaces()
        return Tunnels(
            lanes: options.tunnelInterfaces.map { name in
                interfaces.first { $0.name == name && ["wireguard", "tun"].contains($0.kind) && $0.link == .none }?
                    .index
            })
    }

    /// Tells the programs which devices encrypt now. Without a loaded policy nothing is to be told.
    ///
    /// - Returns: what they know now; nil where no policy is loaded.
    @discardableResult
    package func refreshTunnels() throws(LoaderError) -> Tunnels? {
        try bordered {
            try state.locked(timeout: options.lockTimeout) { try refreshTunnelsLocked() }
        }
    }

    @discardableResult
    func refreshTunnelsLocked() throws -> Tunnels? {
        guard try Files.exists(layout.root), try !isReleased() else { return nil }
        try requireSameABI()
        let maps = try PinnedMaps(pinnedIn: layout.root)
        let present = try presentTunnels()
        try ControlWord(try maps(.control)).store(tunnels: present)
        return present
    }

    static let tunnelRemedy = "weir wireguard apply"

    /// Why packets between pods of different nodes are dropped, whatever the policy.
    func tunnelProblem(of image: Image, _ known: Tunnels?) throws -> String? {
        guard image.wantsEncryption else { return nil }
        let present = try presentTunnels()
        if present.lanes.allSatisfy({ $0 == nil }) {
            let name = options.tunnelInterfaces.first ?? "the tunnel"
            return "\(name) does not exist, so nothing passes from or to pods of other nodes"
        }
        return known == present
            ? nil : "the tunnel's devices are not those that the programs know, and what comes by them is dropped"
    }

    /// Before a policy that wants encryption is in force.
    func storeTunnels(for image: Image, _ control: borrowing ControlWord) throws {
        guard image.wantsEncryption else { return }
        control.store(tunnels: try presentTunnels())
    }
}
