package import WeirImage
package import WeirModel

/// Every verdict of some policies: who is judged, whom he may meet, and what decides between them.
///
/// Made from policies and an inventory for all nodes at once, or from the image of one node. As coarse as it can be and
/// exact: what falls into one class is treated alike by everybody.
package struct VerdictMatrix: Sendable {
    /// What a packet gets, and which rules say so.
    package struct Ruling: Hashable, Sendable {
        package var kind: Decision.Kind
        /// A refusal that is reported and passes.
        package var isAudited: Bool
        /// Index into `attributions`.
        package var attribution: Int

        package init(_ kind: Decision.Kind, isAudited: Bool, attribution: Int) {
            self.kind = kind
            self.isAudited = isAudited
            self.attribution = attribution
        }

        package var passes: Bool { kind == .allow || isAudited }
    }

    /// What decides between two, by protocol and port.
    package struct Table: Hashable, Sendable {
        package struct Entry: Hashable, Sendable {
            package var `protocol`: IPProtocol
            package var ports: ClosedRange<UInt16>
            package var ruling: Ruling

            package init(protocol: IPProtocol, ports: ClosedRange<UInt16>, ruling: Ruling) {
                self.protocol = `protocol`
                self.ports = ports
                self.ruling = ruling
            }
        }

        /// Where no entry matches.
        package var rest: Ruling
        /// Disjoint, sorted by protocol and port.
        package var entries: [Entry]

        package init(rest: Ruling, entries: [Entry]) {
            self.rest = rest
            self.entries = entries
        }
    }

    /// Somebody who is judged.
    package struct Subject: Hashable, Sendable {
        /// Indices into `cells`.
        package var egressRow: Int
        package var ingressRow: Int
        /// Audit mode: what policy refuses it passes.
        package var isAudited: Bool

        package init(egressRow: Int, ingressRow: Int, isAudited: Bool) {
            self.egressRow = egressRow
            self.ingressRow = ingressRow
            self.isAudited = isAudited
        }
    }

    package struct EndpointParty: Hashable, Sendable {
        package var node: String
        package var subject: Subject
        /// The class that others see, by its families.
        package var classes: [AddressFamily: Int]

        package init(node: String, subject: Subject, classes: [AddressFamily: Int]) {
            self.node = node
            self.subject = subject
            self.classes = classes
        }
    }

    package struct HostParty: Hashable, Sendable {
        /// One address of a node, as classes.
        package struct Address: Hashable, Sendable {
            /// To the node's own endpoints that send to it.
            package var asDestination: Int
            /// To everybody else; nil in the image of one node.
            package var elsewhere: Int?

            package init(asDestination: Int, elsewhere: Int?) {
                self.asDestination = asDestination
                self.elsewhere = elsewhere
            }
        }

        /// Under a host firewall.
        package var subject: Subject?
        /// The class of what it sends to its own endpoints, whatever the address.
        package var asSource: Int
        package var addresses: [IPAddress: Address]

        package init(subject: Subject?, asSource: Int, addresses: [IPAddress: Address]) {
            self.subject = subject
            self.asSource = asSource
            self.addresses = addresses
        }
    }

    /// An address that is no endpoint's and no host's: a Service, or, in the image of one node, somebody elsewhere.
    package struct AddressParty: Hashable, Sendable {
        package var peerClass: Int
        /// Where it is another one: on nodes that stand behind the Service themselves.
        package var onNode: [String: Int]
        /// What is known of it, for people.
        package var label: String

        package init(peerClass: Int, onNode: [String: Int] = [:], label: String) {
            self.peerClass = peerClass
            self.onNode = onNode
            self.label = label
        }
    }

    package struct RegionParty: Hashable, Sendable {
        package var peerClass: Int
        package var label: String

        package init(peerClass: Int, label: String) {
            self.peerClass = peerClass
            self.label = label
        }
    }

    /// The sets of rules that decide together; element 0 is empty.
    package var attributions: [[RuleOrigin]] = [[]]
    package var tables: [Table] = []
    /// `cells[row][class]`: index into `tables`.
    package var cells: [[Int]] = []
    /// By qualified name.
    package var endpoints: [String: EndpointParty] = [:]
    /// By node.
    package var hosts: [String: HostParty] = [:]
    package var addresses: [IPAddress: AddressParty] = [:]
    /// Those of endpoints and hosts.
    package var namedAddresses: Set<IPAddress> = []
    /// Every address that is none of those is in the longest of these that contains it; both families have a root.
    package var regions: [Prefix: RegionParty] = [:]
    /// A forwarded packet under an address of the endpoint's own node.
    package var masqueraded: Int = 0
    /// Multicast and broadcast destinations.
    package var multicast: Int = 0

    package init() {}

    /// The class of an address that no endpoint and no host has.
    package func peerClass(of address: IPAddress) -> Int {
        addresses[address]?.peerClass ?? region(around: Prefix(host: address))?.peerClass ?? 0
    }

    /// The longest region that contains a prefix.
    package func region(around prefix: Prefix) -> RegionParty? {
        for length in stride(from: prefix.length, through: 0, by: -1) {
            if let region = regions[Prefix(prefix.address, length: length)] { return region }
        }
        return nil
    }
}
