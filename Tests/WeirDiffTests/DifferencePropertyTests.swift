import Testing
import WeirCompiler
import WeirDiff
import WeirEmulator
import WeirFlow
import WeirImage
import WeirModel
import WeirTestSupport

/// What a difference says is what judging every flow under both policies finds.
@Suite struct DifferencePropertyTests {
    private static let services: [(IPProtocol, [UInt16])] = [
        (.tcp, RandomWorld.ports), (.udp, [0, 53, 80, 8080, 65535]), (.sctp, [80, 443]), (.icmp, [0, 3, 8]),
        (.icmpv6, [3, 128]), (IPProtocol(rawValue: 89), [0]),
    ]

    @Test(
        "a difference covers exactly the flows whose verdict differs, cluster-wide", arguments: 0..<60 as Range<UInt64>)
    func clusterWide(seed: UInt64) throws {
        var world = RandomWorld(seed: seed)
        let old = world.policies
        world.changePolicies()
        try compare(
            world, Version(old, world.inventory, world.options), Version(world.policies, world.inventory, world.options)
        )
    }

    @Test("equal policies in another order differ in nothing", arguments: 0..<40 as Range<UInt64>)
    func equal(seed: UInt64) {
        let world = RandomWorld(seed: seed)
        let again = PolicySet(specs: world.policies.specs.reversed())
        let difference = FlowDifference(
            from: VerdictMatrix(policies: world.policies, inventory: world.inventory, options: world.options),
            to: VerdictMatrix(policies: again, inventory: world.inventory, options: world.options))
        #expect(difference.isEmpty)
    }

    @Test("the other direction says the opposite", arguments: 100..<120 as Range<UInt64>)
    func opposite(seed: UInt64) {
        var world = RandomWorld(seed: seed)
        let old = VerdictMatrix(policies: world.policies, inventory: world.inventory, options: world.options)
        world.changePolicies()
        let new = VerdictMatrix(policies: world.policies, inventory: world.inventory, options: world.options)
        let there = FlowDifference(from: old, to: new).changes
        let back = FlowDifference(from: new, to: old).changes
        #expect(there.count == back.count)
        #expect(
            there.filter { $0.effect == .allowed }.reduce(0) { $0 + $1.pairs }
                == back.filter { $0.effect == .denied }.reduce(0) { $0 + $1.pairs })
    }

    @Test("images of one node are compared as exactly", arguments: 200..<240 as Range<UInt64>)
    func images(seed: UInt64) throws {
        var world = RandomWorld(seed: seed)
        let old = world.policies
        world.changePolicies()
        let images = [old, world.policies].map {
            Compiler.compile(policies: $0, inventory: world.inventory, node: "node-a", options: world.options)
        }
        let matrices = images.map { VerdictMatrix(image: $0) }
        let difference = FlowDifference(from: matrices[0], to: matrices[1])
        let judges = try images.map { try EmulatorJudge(image: $0) }
        let local = images[0].endpoints.filter { !$0.isHost }
        var covered = 0
        for record in local {
            let others =
                RandomWorld.addresses + world.inventory.endpoints.filter { $0.node != "node-a" }.flatMap(\.addresses)
            for direction in Direction.allCases {
                for peer in others where !matrices[0].namedAddresses.contains(peer) {
                    guard let own = record.addresses.first(where: { $0.family == peer.family }) else { continue }
                    if direction == .ingress, peer.isMulticast || peer.isBroadcast { continue }
                    let end = VerdictMatrix.end(of: peer, matrices)
                    for (proto, ports) in Self.services where Self.travels(proto, peer.family) {
                        for port in ports {
                            let passes = try zip(images, judges).map { image, judge in
                                let subject = try #require(image.endpoint(named: record.name))
                                let decision = try judge.judge(
                                    FlowQuery(
                                        endpoint: subject.id, direction: direction, localAddress: own,
                                        peerAddress: peer, path: .forwarded, protocol: proto, port: port))
                                return decision.passes || subject.isAudited
                            }
                            let flow = EndedFlow(
                                from: direction == .egress ? .endpoint(record.name) : end,
                                to: direction == .egress ? end : .endpoint(record.name), protocol: proto, port: port,
                                family: peer.family)
                            let expected: Set<FlowChange.Effect> =
                                passes[0] == passes[1] ? [] : [passes[1] ? .allowed : .denied]
                            covered += expected.count
                            #expect(difference.effects(on: flow) == expected, "\(flow), seed \(seed)")
                        }
                    }
                }
            }
        }
        if covered > 0 { #expect(!difference.isEmpty) }
    }

    // MARK: All flows of a cluster

    struct Version {
        var policies: PolicySet
        var inventory: Inventory
        var options: PolicyOptions

        init(_ policies: PolicySet, _ inventory: Inventory, _ options: PolicyOptions) {
            self.policies = policies
            self.inventory = inventory
            self.options = options
        }

        var matrix: VerdictMatrix { VerdictMatrix(policies: policies, inventory: inventory, options: options) }

        var answerer: FlowAnswerer {
            FlowAnswerer(inventory, hostFirewall: options.hostFirewall) { node in
                let image = Compiler.compile(policies: policies, inventory: inventory, node: node, options: options)
                return (image, try EmulatorJudge(image: image))
            }
        }
    }

    private static func travels(_ proto: IPProtocol, _ family: AddressFamily) -> Bool {
        proto == .icmp ? family == .ipv4 : proto == .icmpv6 ? family == .ipv6 : true
    }

    private func compare(_ world: RandomWorld, _ old: Version, _ new: Version) throws {
        let matrices = [old.matrix, new.matrix]
        let difference = FlowDifference(from: matrices[0], to: matrices[1])
        let answerers = [old.answerer, new.answerer]
        let inventory = world.inventory
        var isAnyDifferent = false
        func check(_ from: (Flow.Peer, FlowEnd), _ to: (Flow.Peer, FlowEnd), _ family: AddressFamily) throws {
            for (proto, ports) in Self.services where Self.travels(proto, family) {
                for port in ports {
                    let flow = Flow(from: from.0, to: to.0, protocol: proto, port: port, family: family)
                    let before = try answerers[0].answer(flow).isAllowed
                    let after = try answerers[1].answer(flow).isAllowed
                    let ended = EndedFlow(from: from.1, to: to.1, protocol: proto, port: port, family: family)
                    let expected: Set<FlowChange.Effect> = before == after ? [] : [after ? .allowed : .denied]
                    if !expected.isEmpty { isAnyDifferent = true }
                    #expect(difference.effects(on: ended) == expected, "\(ended), \(world.options)")
                }
            }
        }
        for pod in inventory.endpoints {
            let here: (Flow.Peer, FlowEnd) = (.endpoint(pod.qualifiedName), .endpoint(pod.qualifiedName))
            for family in AddressFamily.allCases where pod.address(family) != nil {
                for other in inventory.endpoints where other != pod && other.address(family) != nil {
                    try check(
                        here, (.endpoint(other.qualifiedName), .endpoint(other.qualifiedName)), family)
                }
                for node in inventory.nodes {
                    for address in node.addresses where address.family == family {
                        if node.name == pod.node {
                            try check(here, (.host(address), .host), family)
                            try check((.host(address), .host), here, family)
                            try check((.address(address), .masqueraded), here, family)
                        } else {
                            try check(here, (.remoteNode(address), .remoteNode(address)), family)
                            try check((.remoteNode(address), .remoteNode(address)), here, family)
                        }
                    }
                }
                for address in RandomWorld.addresses where address.family == family {
                    guard !matrices[0].namedAddresses.contains(address) else { continue }
                    let end = (Flow.Peer.address(address), VerdictMatrix.end(of: address, matrices))
                    try check(here, end, family)
                    if !address.isMulticast, !address.isBroadcast { try check(end, here, family) }
                }
            }
        }
        if isAnyDifferent { #expect(!difference.isEmpty) }
    }
}
