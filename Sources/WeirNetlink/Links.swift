internal import CLibnl
internal import SystemPackage
internal import WeirModel

/// What came of asking for a WireGuard interface.
package enum LinkCreation: Hashable, Sendable {
    case created
    /// There is an interface of that name, of whatever kind.
    case nameTaken
    /// The kernel has no WireGuard: a device must come from `UserspaceDevice.command`.
    case unsupported
}

extension Netlink {
    /// nil where this namespace has no interface of that name.
    package func interface(named name: String) throws(NetlinkError) -> NetworkInterface? {
        try interfaces().first { $0.name == name }
    }

    /// Makes an interface of kind "wireguard", which is down and has no key.
    package func createWireGuardInterface(_ name: String) throws(NetlinkError) -> LinkCreation {
        guard (1...15).contains(name.utf8.count) else {
            throw NetlinkError(
                "create interface", "'\(name)'", errno: .invalidArgument, hint: "a name has 1 to 15 bytes")
        }
        let refusal = try unsafe change(
            "create interface", name, unchanged: [.fileExists, .notSupportedOnSocket]
        ) { unsafe weir_nl_encode_add_link(name, "wireguard", &$0) }
        return switch refusal {
        case nil: .created
        case .fileExists: .nameTaken
        default: .unsupported
        }
    }

    /// Whether there was one. Addresses and routes through it go with it.
    package func deleteInterface(_ index: UInt32) throws(NetlinkError) -> Bool {
        try unsafe change("delete interface", "\(index)", unchanged: [.noSuchDevice]) {
            unsafe weir_nl_encode_delete_link(index, &$0)
        } == nil
    }

    /// Sets what is not nil; whether that changed anything.
    package func setInterface(
        _ index: UInt32, isUp: Bool? = nil, mtu: UInt32? = nil
    ) throws(NetlinkError) -> Bool {
        guard let now = try interfaces().first(where: { $0.index == index }) else {
            throw NetlinkError("set up interface", "\(index)", errno: .noSuchDevice)
        }
        let isUp = isUp == now.isUp ? nil : isUp
        let mtu = mtu == now.mtu ? nil : mtu
        guard isUp != nil || mtu != nil else { return false }
        let wish = [isUp.map { $0 ? "up" : "down" }, mtu.map { "with an MTU of \($0)" }].compactMap { $0 }
        let up: Int32 = isUp.map { $0 ? 1 : 0 } ?? -1
        _ = try unsafe change("set interface \(now.name)", wish.joined(separator: " ")) {
            unsafe weir_nl_encode_set_link(index, up, mtu ?? 0, &$0)
        }
        return true
    }

    /// False where the interface had it already.
    package func add(_ address: InterfaceAddress) throws(NetlinkError) -> Bool {
        try unsafe change("add address", address.description, unchanged: [.fileExists]) {
            unsafe address.encode(add: true, &$0)
        } == nil
    }

    /// False where the interface did not have it, or is gone.
    package func remove(_ address: InterfaceAddress) throws(NetlinkError) -> Bool {
        try unsafe change("remove address", address.description, unchanged: [.addressNotAvailable, .noSuchDevice]) {
            unsafe address.encode(add: false, &$0)
        } == nil
    }
}

extension Netlink {
    /// The message that makes a WireGuard interface.
    package func messages(forCreating name: String) throws(NetlinkError) -> NetlinkMessages {
        try unsafe NetlinkMessages("create interface", name) {
            unsafe weir_nl_encode_add_link(name, "wireguard", &$0)
        }
    }
}

extension NetlinkMessages {
    /// The message that adds an address.
    package init(_ address: InterfaceAddress) throws(NetlinkError) {
        try unsafe self.init("add address", address.description) { unsafe address.encode(add: true, &$0) }
    }
}

extension InterfaceAddress: CustomStringConvertible {
    package var description: String { "\(address)/\(prefixLength) of interface \(interface)" }

    func encode(add: Bool, _ messages: inout weir_nl_messages) -> Int32 {
        var raw = weir_nl_address()
        raw.ifindex = interface
        raw.length = UInt8(address.family.bitWidth / 8)
        raw.prefix_length = UInt8(prefixLength)
        setBytes(&raw.bytes, address.bytes)
        // SAFETY: the shim reads `raw` and appends to the messages.
        return unsafe weir_nl_encode_address(add ? 1 : 0, &raw, &messages)
    }
}

/// Writes the first bytes of a C array field.
func setBytes<Field>(_ field: inout Field, _ bytes: some Collection<UInt8>) {
    // SAFETY: `copyBytes` traps where the field is too short.
    unsafe withUnsafeMutableBytes(of: &field) { unsafe $0.copyBytes(from: bytes) }
}

/// The first bytes of a C array field.
func bytes<Field>(of field: Field, count: Int) -> [UInt8] {
    // SAFETY: the closure only copies the field's own bytes.
    unsafe withUnsafeBytes(of: field) { unsafe Array($0.prefix(count)) }
}
