import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirLoader
import WeirModel

/// From a record's numbers to a line's words, without a kernel.
@Suite("What an event says") struct MonitorNamesTests {
    private static let names = EventNames(image: HandmadeImage.make(port: 80), endpoints: endpoints)
    private static let endpoints = HandmadeImage.make(port: 80).endpointEntries(interfaces: [1: 11, 2: 12])

    private static func record(
        _ direction: weir_direction = WEIR_INGRESS, from: String = "10.7.0.2", to: String = "10.7.0.3",
        protocol number: UInt8 = 6, port: UInt16 = 81, reason: weir_reason = WEIR_REASON_POLICY_DEFAULT_DENY,
        action: Decision? = Decision(.defaultDeny, rule: HandmadeImage.defaultDenyRule), group: UInt32 = 8,
        identity: UInt32 = 1, at time: UInt64 = 0
    ) throws -> weir_event {
        let (source, destination) = (try #require(IPAddress(from)), try #require(IPAddress(to)))
        var event = weir_event()
        event.time_ns = weir_u64(time)
        event.ifindex = direction == WEIR_INGRESS ? 12 : 11
        event.group = group
        event.identity = identity
        event.action = action.map { Action.decided($0).rawValue } ?? 0
        event.length = 74
        event.source_port_be = UInt16(40000).bigEndian
        event.destination_port_be = port.bigEndian
        event.direction = UInt8(direction.rawValue)
        event.reason = UInt8(reason.rawValue)
        event.protocol = number
        event.family = source.family == .ipv4 ? 4 : 6
        setABIBytes(&event.source, source.mappedBytes)
        setABIBytes(&event.destination, destination.mappedBytes)
        return event
    }

    private static func event(_ record: weir_event) -> MonitorEvent {
        names.event(record, time: "now", interface: "veth")
    }

    @Test("A default deny names both pods and the policy that enforces")
    func defaultDeny() throws {
        let event = Self.event(try Self.record())
        #expect((event.from, event.to) == ("shop/pod-2", "shop/pod-3"))
        #expect((event.endpoint, event.outcome, event.direction) == ("shop/pod-3", .drop, .ingress))
        #expect((event.reason, event.portText, event.family) == ("policy-default-deny", "81/tcp", .ipv4))
        #expect((event.decidingRules, event.sourcePort, event.length) == (["policy.yaml:3"], 40000, 74))
    }

    @Test("An allow has no reason; in audit mode a refusal has one and passes")
    func outcomes() throws {
        let allow = Self.event(
            try Self.record(reason: WEIR_REASON_NONE, action: Decision(.allow, rule: HandmadeImage.portRule)))
        #expect((allow.outcome, allow.reason, allow.decidingRules) == (.allow, nil, ["policy.yaml:8"]))
        var record = try Self.record()
        record.flags = WEIR_EVENT_AUDIT.rawValue
        let audit = Self.event(record)
        #expect((audit.outcome, audit.reason) == (.audit, "policy-default-deny"))
    }

    @Test("A source that is not the pod's is named beside it, and is no pod in the flow")
    func spoofed() throws {
        let event = Self.event(
            try Self.record(
                WEIR_EGRESS, from: "10.9.9.9", reason: WEIR_REASON_SOURCE_ADDRESS, action: nil, group: 0, identity: 0))
        #expect(
            (event.endpoint, event.from, event.fromText) == ("shop/pod-2", "ip:10.9.9.9", "shop/pod-2 (as 10.9.9.9)"))
        #expect((event.to, event.decidingRules) == ("shop/pod-3", []))
    }

    @Test("ICMP has its type for a port, and what has no ports none")
    func withoutPorts() throws {
        let echo = Self.event(try Self.record(from: "fd07::2", to: "fd07::3", protocol: 58, port: 128))
        #expect((echo.portText, echo.family, echo.sourcePort) == ("128/icmpv6", .ipv6, nil))
        let gre = Self.event(try Self.record(protocol: 47, port: 0))
        #expect((gre.portText, gre.port) == ("gre", nil))
        #expect(Self.event(try Self.record(protocol: 200)).portText == "200")
    }

    @Test("A packet that was not parsed has no ends, but an endpoint")
    func unparsed() throws {
        var record = try Self.record(WEIR_EGRESS, reason: WEIR_REASON_VLAN, action: nil, group: 0, identity: 0)
        record.family = 0
        let event = Self.event(record)
        #expect((event.from, event.to, event.protocol) == (nil, nil, nil))
        #expect((event.fromText, event.toText, event.portText) == ("shop/pod-2", "-", "-"))
    }

    @Test("The host and the world have their addresses beside them")
    func others() throws {
        let host = Self.event(try Self.record(from: "10.7.0.1", group: WEIR_GROUP_HOST.rawValue, identity: 0))
        #expect((host.from, host.fromText) == ("host:10.7.0.1", "host 10.7.0.1"))
        let stranger = Self.event(try Self.record(from: "8.8.8.8", group: WEIR_GROUP_WORLD_IPV4.rawValue, identity: 0))
        #expect((stranger.from, stranger.fromText) == ("ip:8.8.8.8", "8.8.8.8"))
    }

    @Test(
        "An identity is said in short",
        arguments: [
            ("reserved:world,reserved:world-ipv4", "world"), ("cidr:10.0.0.0/8", "world"),
            ("unknown-pod", "unknown-pod"),
            ("reserved:kube-apiserver,reserved:remote-node", "kube-apiserver,remote-node"),
            (
                "k8s:app=api,k8s:io.cilium.k8s.policy.cluster=default,k8s:io.kubernetes.pod.namespace=shop,k8s:tier=web",
                "shop[app=api,tier=web]"
            ),
        ])
    func short(_ identity: String, _ expected: String) throws {
        var image = HandmadeImage.make(port: 80)
        image.identities[1] = identity
        let event = EventNames(image: image, endpoints: Self.endpoints)
            .event(try Self.record(from: "172.16.0.1"), time: "", interface: nil)
        #expect(event.fromText == "\(expected) 172.16.0.1")
    }

    @Test("Of the moments of a change only what both policies say is said")
    func change() throws {
        var later = HandmadeImage.make(port: 80)
        later.attributions.swapAt(1, 2)
        let after = EventNames(image: later, endpoints: Self.endpoints)
        var timeline = PolicyTimeline(
            PolicyTimeline.Version(revision: 4, imageDigest: [1]), Self.names, at: 1_000_000_000)
        timeline.found(
            PolicyTimeline.Version(revision: 4, imageDigest: [1]), { Self.names }, from: 2_000_000_000,
            until: 2_000_000_001)
        timeline.found(
            PolicyTimeline.Version(revision: 5, imageDigest: [2]), { after }, from: 2_200_000_000,
            until: 2_200_000_001)
        func rules(at time: UInt64) throws -> ([String], Bool) {
            let event = timeline.event(try Self.record(at: time), time: "", interface: nil)
            #expect(event.from == "shop/pod-2")
            return (event.decidingRules, event.isDoubtful)
        }
        #expect(try rules(at: 2_000_000_000) == (["policy.yaml:3"], false))
        #expect(try rules(at: 2_100_000_000) == ([], true))
        #expect(try rules(at: 2_300_000_000) == ([], true))
        #expect(try rules(at: 2_300_000_002) == (["policy.yaml:8"], false))
    }

    @Test("Where a policy was missed, nothing is said but addresses, even if those before and after agree")
    func missed() throws {
        var timeline = PolicyTimeline(PolicyTimeline.Version(revision: 4, imageDigest: [1]), Self.names, at: 1_000)
        timeline.found(
            PolicyTimeline.Version(revision: 6, imageDigest: [1]), { Self.names }, from: 2_000, until: 2_001)
        let event = timeline.event(try Self.record(at: 1_500), time: "", interface: nil)
        #expect((event.decidingRules, event.from, event.isDoubtful) == ([], "ip:10.7.0.2", true))
        let before = timeline.event(try Self.record(at: 1_000), time: "", interface: nil)
        #expect((before.decidingRules, before.isDoubtful) == (["policy.yaml:3"], false))
    }

    @Test("A filter admits what meets all of its conditions")
    func filter() throws {
        let event = Self.event(try Self.record())
        func admits(_ set: (inout MonitorFilter) throws -> Void) rethrows -> Bool {
            var filter = MonitorFilter()
            try set(&filter)
            return filter.admits(event)
        }
        #expect(admits { _ in })
        #expect(admits { $0.endpoints = ["shop/pod-3"] })
        #expect(!admits { $0.endpoints = ["shop/pod-2"] })
        for (peer, expected) in [
            ("shop/pod-2", true), ("shop/pod-3", false), ("10.7.0.0/24", true), ("10.7.0.2", true),
            ("ip:10.7.0.9", false),
            ("world", false), ("app=api", false),
        ] {
            #expect(try admits { $0.peers = [try #require(MonitorFilter.Peer(peer))] } == expected, "\(peer)")
        }
        #expect(admits { $0.ports = [MonitorFilter.Port(number: 81, protocol: .tcp)] })
        #expect(!admits { $0.ports = [MonitorFilter.Port(number: 81, protocol: .udp)] })
        #expect(admits { $0.reasons = ["policy-default-deny"] })
        #expect(!admits { $0.reasons = ["vlan"] })
        #expect(!admits { $0.direction = .egress })
        #expect(!admits { $0.outcomes = [.allow, .audit] })
        #expect(!admits { ($0.endpoints, $0.reasons) = (["shop/pod-3"], ["vlan"]) })
        #expect(MonitorFilter.Peer("nobody") == nil)
    }

    @Test("Times are RFC 3339 with milliseconds")
    func time() {
        let clock = EventClock(monotonic: 5_000_000_000, realtime: 1_000_000_005_000_000_000, isUTC: true)
        #expect(clock.text(5_007_000_000) == "2001-09-09T01:46:45.007Z")
    }
}
