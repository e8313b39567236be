internal import WeirABI
internal import WeirImage
internal import WeirModel

/// An `endpoints` entry, read.
struct LocalEndpoint {
    let egressRow: UInt32
    let ingressRow: UInt32
    let ipv4: IPAddress?
    let ipv6: IPAddress?

    /// nil where the value has not the size of an entry.
    init?(_ bytes: [UInt8]) {
        guard let value = weir_endpoint(abiBytes: bytes) else { return nil }
        egressRow = value.egress_row
        ingressRow = value.ingress_row
        let hasIPv4 = value.flags & WEIR_ENDPOINT_HAS_IPV4.rawValue != 0
        let hasIPv6 = value.flags & WEIR_ENDPOINT_HAS_IPV6.rawValue != 0
        ipv4 = hasIPv4 ? IPAddress(bytes: abiBytes(of: value.ipv4)) : nil
        ipv6 = hasIPv6 ? IPAddress(bytes: abiBytes(of: value.ipv6)) : nil
    }

    func row(_ direction: Direction) -> UInt32 { direction == .egress ? egressRow : ingressRow }

    func owns(_ address: IPAddress) -> Bool { address == (address.family == .ipv4 ? ipv4 : ipv6) }
}
