package import WeirModel

/// A packet to build, with everything a test may want to bend. The defaults make a plain first packet.
package struct PacketSpec: Hashable, Sendable {
    package struct ExtensionHeader: Hashable, Sendable {
        /// Its protocol number: 0, 43, 44, 51, 60, 135.
        package var type: UInt8
        /// Everything behind "next header", the length byte included.
        package var body: [UInt8]

        package init(type: UInt8, body: [UInt8]) {
            self.type = type
            self.body = body
        }

        /// Hop-by-hop, destination or mobility options of eight bytes, all padding.
        package static func padding(type: UInt8) -> Self { Self(type: type, body: [0, 1, 4, 0, 0, 0, 0]) }
    }

    package enum TCPFlags {
        package static let fin: UInt8 = 0x01
        package static let syn: UInt8 = 0x02
        package static let rst: UInt8 = 0x04
        package static let ack: UInt8 = 0x10
    }

    package var source: IPAddress
    package var destination: IPAddress
    package var `protocol`: IPProtocol
    package var sourcePort: UInt16 = 49152
    package var destinationPort: UInt16 = 0
    package var tcpFlags = TCPFlags.syn
    package var icmpType: UInt8 = 0
    package var icmpCode: UInt8 = 0
    package var icmpIdentifier: UInt16 = 1
    package var hopLimit: UInt8 = 64
    /// Padded with end-of-options to a multiple of four.
    package var ipv4Options: [UInt8] = []
    package var ipv4Identification: UInt16 = 0
    /// Flags and offset, as in the header: 0x2000 is "more fragments".
    package var ipv4Fragment: UInt16 = 0
    package var ipv6Extensions: [ExtensionHeader] = []
    /// Behind the transport header; for ICMP errors the quoted packet. nil: what the protocol's first packet has.
    package var payload: [UInt8]?
    /// An 802.1Q tag in the frame.
    package var vlan: UInt16?

    /// `source` and `destination` are of one family.
    package init(from source: IPAddress, to destination: IPAddress, protocol: IPProtocol) {
        precondition(source.family == destination.family)
        self.source = source
        self.destination = destination
        self.protocol = `protocol`
    }

    /// The packet the other way: addresses and ports exchanged.
    package var reversed: PacketSpec {
        var copy = self
        (copy.source, copy.destination) = (destination, source)
        (copy.sourcePort, copy.destinationPort) = (destinationPort, sourcePort)
        return copy
    }
}
