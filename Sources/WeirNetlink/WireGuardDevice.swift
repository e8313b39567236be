internal import SystemPackage
package import WeirWireGuard

/// A WireGuard device of the calling thread's network namespace, in the kernel or in a process.
package protocol WireGuardDevice: Sendable {
    /// Of its interface.
    var name: String { get }

    func state() throws(NetlinkError) -> DeviceState

    /// What the change does not name stays as it is, sessions and counters of peers too. Where this throws, some of the
    /// peers may have been changed: ask for the state.
    func apply(_ change: DeviceChange) throws(NetlinkError)

    /// Ends all sessions, which begin again under the new key.
    func setPrivateKey(_ key: borrowing SecretKey) throws(NetlinkError)

    /// - Parameter creating: makes the peer where there is none, so that it never lives without the key; it has
    ///   nothing else until it is changed. Without it, a peer that is not there stays away.
    func setPresharedKey(
        _ key: borrowing SecretKey, of peer: PublicKey, creating: Bool
    ) throws(NetlinkError)

    /// Takes the preshared key away; a peer that is not there stays away.
    func removePresharedKey(of peer: PublicKey) throws(NetlinkError)
}

extension WireGuardDevice {
    package func removePresharedKey(of peer: PublicKey) throws(NetlinkError) {
        let none = unsafe SecretKey { _ in }
        try setPresharedKey(none, of: peer, creating: false)
    }
}

/// Which WireGuard device has a name.
package enum WireGuardPresence: Sendable {
    case kernel(KernelDevice)
    case userspace(UserspaceDevice)
    /// No interface has that name.
    case absent

    package var device: (any WireGuardDevice)? {
        switch self {
        case .kernel(let device): device
        case .userspace(let device): device
        case .absent: nil
        }
    }
}

extension Netlink {
    /// Looks for the device of a name; an interface of that name which is no WireGuard device is an error.
    package func wireGuardDevice(
        _ name: String, socketDirectory: String = UserspaceDevice.socketDirectory
    ) throws(NetlinkError) -> WireGuardPresence {
        guard let interface = try interface(named: name) else { return .absent }
        switch interface.kind {
        case "wireguard": return .kernel(try KernelDevice(name: name))
        case "tun":
            let device = UserspaceDevice(name: name, socketDirectory: socketDirectory)
            try device.requireListener()
            return .userspace(device)
        case let kind:
            throw NetlinkError(
                "use interface", name, errno: .fileExists,
                hint: "it is \(kind.map { "of kind '\($0)'" } ?? "a device of its own"), not WireGuard's; rename it")
        }
    }
}
