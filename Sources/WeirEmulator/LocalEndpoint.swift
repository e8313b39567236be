internal import WeirABI
internal import WeirImage
internal import WeirModel

/// An `endpoints` entry, read.
struct LocalEndpoint {
    private let value: weir_endpoint

    /// nil where the bytes have not the size of an entry.
    init?(_ bytes: [UInt8]) {
        guard let value = weir_endpoint(abiBytes: bytes) else { return nil }
        self.value = value
    }

    var ipv4: IPAddress? {
        has(WEIR_ENDPOINT_HAS_IPV4) ? IPAddress(bytes: abiBytes(of: value.ipv4)) : nil
    }

    var ipv6: IPAddress? {
        has(WEIR_ENDPOINT_HAS_IPV6) ? IPAddress(bytes: abiBytes(of: value.ipv6)) : nil
    }

    func row(_ direction: Direction) -> UInt32 { direction == .egress ? value.egress_row : value.ingress_row }

    /// The node itself, rather than a pod on it.
    var isHost: Bool { has(WEIR_ENDPOINT_HOST) }

    var isAudited: Bool { has(WEIR_ENDPOINT_AUDIT) }

    /// What its flows have in their keys: the node's are its own on whichever device they come and go.
    func flowInterface(_ index: UInt32) -> UInt32 { isHost ? 0 : index }

    func owns(_ address: IPAddress) -> Bool { isHost || address == (address.family == .ipv4 ? ipv4 : ipv6) }

    private func has(_ flag: weir_endpoint_flag) -> Bool { value.flags & flag.rawValue != 0 }
}
