import Testing
import WeirABI
import WeirEmulator
import WeirImage
import WeirMaps

@Suite("Emulated node")
struct EmulatedNodeTests {
    @Test("a commit fills the other slot and flips the revision's low bit")
    func twoSlots() throws {
        let node = try EmulatedNode(image: ImageFixture().image, interfaces: [1: 7])
        #expect(node.revision == 1)
        #expect(node.map(.endpoints, slot: 1) != nil && node.map(.endpoints, slot: 0) == nil)
        try node.commit(ImageFixture.webServer.image, interfaces: [1: 7])
        #expect(node.revision == 2)
        #expect(try node.map(.verdicts, slot: 0)?.entries().count == 1)
        #expect(try node.map(.verdicts, slot: 1)?.entries().isEmpty == true)
        for (slot, fixture) in [ImageFixture.webServer, ImageFixture()].enumerated() {
            let bytes = try #require(try node.map(.slot_meta).lookup(UInt32(slot).bytes))
            let meta = try #require(weir_slot_meta(abiBytes: bytes))
            #expect(meta.state == WEIR_SLOT_READY.rawValue)
            #expect(abiBytes(of: meta.image_digest) == fixture.image.digest)
        }
    }

    @Test("a commit that fails at any call leaves the active policy as it was")
    func failingCommit() throws {
        let counting = FaultPlan()
        let clean = try Wire(ImageFixture(), faults: counting)
        let before = counting.calls
        try clean.commit(.webServer)
        for operation in [MapOperation.create, .update] {
            let first = before[operation, default: 0]
            let last = counting.calls[operation, default: 0]
            #expect(last > first)
            for call in (first + 1)...last {
                let plan = FaultPlan([.init(operation, call: call, error: .noMemory)])
                let wire = try Wire(ImageFixture(), faults: plan)
                #expect(throws: EmulatedNode.Failure.self) { try wire.commit(.webServer) }
                #expect(wire.node.revision == 1)
                #expect(wire.receive(try packet("10.0.1.3", "10.0.1.1", .tcp)) == .none)
                // And the next attempt starts over.
                try wire.commit(.webServer)
                #expect(wire.receive(try packet("10.0.1.3", "10.0.1.1", .udp)) == .policyDefaultDeny)
            }
        }
    }

    @Test("there is nothing to roll back to before the second commit")
    func rollback() throws {
        let node = try EmulatedNode(image: ImageFixture().image, interfaces: [1: 7])
        #expect(throws: EmulatedNode.Failure(map: "slot_meta", error: .noEntry)) { try node.rollback() }
        try node.commit(ImageFixture.webServer.image, interfaces: [1: 7])
        try node.rollback()
        #expect(node.revision == 3)
    }

    @Test("reasons have the header's numbers")
    func reasons() {
        let numbers: [DropReason: weir_reason] = [
            .none: WEIR_REASON_NONE, .policyDeny: WEIR_REASON_POLICY_DENY,
            .policyDefaultDeny: WEIR_REASON_POLICY_DEFAULT_DENY, .noSlot: WEIR_REASON_NO_SLOT,
            .noVerdict: WEIR_REASON_NO_VERDICT, .truncated: WEIR_REASON_TRUNCATED,
            .unknownEthertype: WEIR_REASON_UNKNOWN_ETHERTYPE, .vlan: WEIR_REASON_VLAN,
            .fragment: WEIR_REASON_FRAGMENT, .ipHeader: WEIR_REASON_IP_HEADER,
            .ipv4SourceRoute: WEIR_REASON_IPV4_SOURCE_ROUTE, .ipv6Extension: WEIR_REASON_IPV6_EXTENSION,
            .ipv6Routing: WEIR_REASON_IPV6_ROUTING, .sourceAddress: WEIR_REASON_SOURCE_ADDRESS,
            .arp: WEIR_REASON_ARP, .neighbourDiscovery: WEIR_REASON_NEIGHBOUR_DISCOVERY,
            .routerControl: WEIR_REASON_ROUTER_CONTROL, .linkLocal: WEIR_REASON_LINK_LOCAL,
            .v4Mapped: WEIR_REASON_V4_MAPPED, .martianSource: WEIR_REASON_MARTIAN_SOURCE,
            .overlay: WEIR_REASON_OVERLAY, .notForEndpoint: WEIR_REASON_NOT_FOR_ENDPOINT,
            .conntrackInsert: WEIR_REASON_CONNTRACK_INSERT, .l4Header: WEIR_REASON_L4_HEADER,
            .unencrypted: WEIR_REASON_UNENCRYPTED,
        ]
        #expect(numbers.count == Int(WEIR_REASON_COUNT.rawValue))
        for reason in DropReason.allCases { #expect(numbers[reason]?.rawValue == reason.rawValue) }
    }
}
