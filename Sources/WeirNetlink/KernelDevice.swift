internal import CLibnl
internal import Glibc
internal import SystemPackage
internal import WeirModel
package import WeirWireGuard

/// A device of the kernel's own WireGuard, through generic netlink.
package struct KernelDevice: WireGuardDevice {
    package let name: String
    /// The number under which the kernel knows WireGuard, which differs from boot to boot.
    private let family: UInt16

    /// ENOENT: the kernel has no WireGuard, or has not loaded it.
    package init(name: String) throws(NetlinkError) {
        var family: UInt16 = 0
        // SAFETY: only `family` is written.
        let result = unsafe weir_wg_family(&family)
        guard result == 0 else {
            let hint = result == -ENOENT ? "the kernel has none; see UserspaceDevice" : nil
            throw NetlinkError("ask the kernel for", "WireGuard", result: result, hint: hint)
        }
        self.init(name: name, family: family)
    }

    /// With a family that is known already, for messages that are only looked at.
    package init(name: String, family: UInt16) {
        self.name = name
        self.family = family
    }

    package func state() throws(NetlinkError) -> DeviceState {
        var device = unsafe weir_wg_device()
        // SAFETY: the shim writes the device, whose arrays `DeviceState` copies and releases.
        let result = unsafe weir_wg_read(family, name, &device)
        guard result == 0 else { throw failure("read", result) }
        return unsafe DeviceState(taking: device)
    }

    package func apply(_ change: DeviceChange) throws(NetlinkError) {
        guard !change.isEmpty else { return }
        try send(try messages(for: change), "configure")
    }

    package func setPrivateKey(_ key: borrowing SecretKey) throws(NetlinkError) {
        try send(try messages(forPrivateKey: key), "set the private key of")
    }

    package func setPresharedKey(
        _ key: borrowing SecretKey, of peer: PublicKey, creating: Bool
    ) throws(NetlinkError) {
        try send(
            try messages(forPresharedKey: key, of: peer, creating: creating), "set the preshared key of peer \(peer) of"
        )
    }

    private func send(_ messages: consuming NetlinkMessages, _ operation: String) throws(NetlinkError) {
        let result = messages.send(NETLINK_GENERIC).result
        guard result == 0 else { throw failure(operation, result) }
    }

    private func failure(_ operation: String, _ result: Int32) -> NetlinkError {
        let hint: String? =
            switch -result {
            case ENODEV: "the interface is gone"
            case EPERM: "needs root or CAP_NET_ADMIN"
            case EADDRINUSE: "another socket has the listen port"
            default: nil
            }
        return NetlinkError(operation, "WireGuard device \(name)", result: result, hint: hint)
    }
}

// MARK: - What is said

extension KernelDevice {
    /// The request that `state` sends.
    package func messagesForState() throws(NetlinkError) -> NetlinkMessages {
        try unsafe NetlinkMessages("ask for", name) { unsafe weir_wg_encode_read(family, name, &$0) }
    }

    /// As many as it takes: a peer may go on in the next one.
    package func messages(for change: DeviceChange) throws(NetlinkError) -> NetlinkMessages {
        var allowed: [weir_wg_allowed_ip] = []
        var peers: [weir_wg_peer_change] = []
        for peer in change.peers {
            var raw = weir_wg_peer_change()
            setBytes(&raw.key, peer.publicKey.bytes)
            raw.flags = peer.flags
            if let endpoint = peer.endpoint {
                let bytes = endpoint.address.bytes
                raw.endpoint.length = UInt8(bytes.count)
                raw.endpoint.port = endpoint.port
                setBytes(&raw.endpoint.bytes, bytes)
            }
            raw.has_keepalive = peer.persistentKeepalive == nil ? 0 : 1
            raw.keepalive = peer.persistentKeepalive ?? 0
            raw.first_allowed_ip = allowed.count
            raw.allowed_ip_count = peer.allowedIPs.count
            for prefix in peer.allowedIPs {
                let bytes = prefix.address.bytes
                var raw = weir_wg_allowed_ip()
                raw.length = UInt8(bytes.count)
                raw.prefix_length = UInt8(prefix.length)
                setBytes(&raw.bytes, bytes)
                allowed.append(raw)
            }
            peers.append(raw)
        }
        var raw = weir_wg_change()
        raw.has_listen_port = change.listenPort == nil ? 0 : 1
        raw.listen_port = change.listenPort ?? 0
        raw.has_mark = change.firewallMark == nil ? 0 : 1
        raw.mark = change.firewallMark ?? 0
        raw.peer_count = peers.count
        // SAFETY: both arrays live during the call and are as long as the counts say.
        return try unsafe NetlinkMessages("write down a change of", name) {
            unsafe weir_wg_encode_change(family, name, &raw, peers, allowed, &$0)
        }
    }

    package func messages(forPrivateKey key: borrowing SecretKey) throws(NetlinkError) -> NetlinkMessages {
        var messages = NetlinkMessages()
        let result = unsafe key.withBytes { bytes in
            // SAFETY: 32 bytes, read during the call.
            unsafe messages.append {
                unsafe weir_wg_encode_private_key(family, name, bytes.bindMemory(to: UInt8.self).baseAddress, &$0)
            }
        }
        guard result == 0 else { throw failure("write down the private key of", result) }
        return messages
    }

    package func messages(
        forPresharedKey key: borrowing SecretKey, of peer: PublicKey, creating: Bool
    ) throws(NetlinkError) -> NetlinkMessages {
        var messages = NetlinkMessages()
        let flags = creating ? 0 : UInt32(WEIR_WG_UPDATE_ONLY)
        let result = unsafe key.withBytes { bytes in
            // SAFETY: 32 bytes each, read during the call.
            unsafe messages.append {
                unsafe weir_wg_encode_preshared_key(
                    family, name, peer.bytes, flags, bytes.bindMemory(to: UInt8.self).baseAddress, &$0)
            }
        }
        guard result == 0 else { throw failure("write down a preshared key of", result) }
        return messages
    }
}

extension PeerChange {
    fileprivate var flags: UInt32 {
        let kindFlag: UInt32 =
            switch kind {
            case .add: 0
            case .update: UInt32(WEIR_WG_UPDATE_ONLY)
            case .remove: UInt32(WEIR_WG_REMOVE)
            }
        return replacesAllowedIPs ? kindFlag | UInt32(WEIR_WG_REPLACE_ALLOWED_IPS) : kindFlag
    }
}

// MARK: - What is heard

extension KernelDevice {
    /// The device that the messages of a reply describe. EBADMSG: they are no such reply.
    package static func decode(_ reply: UnsafeMutableBufferPointer<UInt8>) throws(NetlinkError) -> DeviceState {
        var device = unsafe weir_wg_device()
        // SAFETY: the shim reads the reply's bytes and writes the device, whose arrays are copied and released.
        let result = unsafe weir_wg_decode(reply.baseAddress, reply.count, &device)
        guard result == 0 else { throw NetlinkError("read", "a WireGuard device's reply", result: result) }
        return unsafe DeviceState(taking: device)
    }
}

extension DeviceState {
    /// Copies the device's arrays and releases them.
    fileprivate init(taking device: weir_wg_device) {
        defer {
            unsafe free(device.peers)
            unsafe free(device.allowed_ips)
        }
        // SAFETY: the shim's arrays are as long as their counts, and every peer's allowed IPs lie in theirs.
        let allowed = unsafe UnsafeBufferPointer(start: device.allowed_ips, count: device.allowed_ip_count)
        let peers = unsafe UnsafeBufferPointer(start: device.peers, count: device.peer_count)
        unsafe self.init(
            interfaceIndex: device.ifindex,
            publicKey: device.has_public_key == 0 ? nil : PublicKey(bytes: bytes(of: device.public_key, count: 32)),
            listenPort: device.listen_port, firewallMark: device.mark,
            peers: peers.compactMap { peer in
                PublicKey(bytes: bytes(of: peer.key, count: 32)).map { key in
                    let range = peer.first_allowed_ip..<peer.first_allowed_ip + peer.allowed_ip_count
                    return unsafe PeerState(
                        publicKey: key, hasPresharedKey: peer.has_preshared_key != 0,
                        endpoint: PeerEndpoint(peer.endpoint), allowedIPs: allowed[range].compactMap(Prefix.init),
                        persistentKeepalive: peer.keepalive, lastHandshake: peer.last_handshake,
                        receivedBytes: peer.received, sentBytes: peer.sent)
                }
            })
    }
}

extension PeerEndpoint {
    fileprivate init?(_ raw: weir_wg_endpoint) {
        guard let address = IPAddress(bytes: bytes(of: raw.bytes, count: Int(raw.length))) else { return nil }
        self.init(address: address, port: raw.port)
    }
}

extension Prefix {
    fileprivate init?(_ raw: weir_wg_allowed_ip) {
        guard let address = IPAddress(bytes: bytes(of: raw.bytes, count: Int(raw.length))) else { return nil }
        self.init(address, length: Int(raw.prefix_length))
    }
}
