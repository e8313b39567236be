import Testing
import WeirCompiler
import WeirEmulator
import WeirExplain
import WeirFlow
import WeirImage
import WeirModel
import WeirTestSupport

/// What explain says is what verdict says, and what it would change does turn the answer round.
@Suite struct ExplanationPropertyTests {
    @Test("explain and verdict agree, by rules and by maps", arguments: 0..<150 as Range<UInt64>)
    func agree(seed: UInt64) throws {
        var world = RandomWorld(seed: seed)
        var images: [String: Image] = [:]
        let (policies, inventory, options) = (world.policies, world.inventory, world.options)
        for node in inventory.nodes.map(\.name) {
            images[node] = Compiler.compile(policies: policies, inventory: inventory, node: node, options: options)
        }
        let compiled = images
        let explainer = FlowExplainer(
            inventory, hostFirewall: options.hostFirewall,
            explainer: Explainer(policies: policies, inventory: inventory, options: options),
            image: { try #require(compiled[$0]) }, judge: { try EmulatorJudge(image: $0) })
        let answerer = FlowAnswerer(inventory, hostFirewall: options.hostFirewall) { node in
            let image = try #require(compiled[node])
            return (image, try EmulatorJudge(image: image))
        }
        for _ in 0..<40 {
            let flow = world.flow()
            let answer: FlowAnswer
            do { answer = try answerer.answer(flow) } catch is FlowError { continue }
            let explanation = try explainer.explain(flow)
            #expect(explanation.answer == answer)
            for (side, verdict) in [(explanation.egress, answer.egress), (explanation.ingress, answer.ingress)] {
                guard let side else {
                    #expect(verdict.kind == .none)
                    continue
                }
                let rules = try #require(side.rules)
                let context = "\(flow), \(side.direction), seed \(seed)"
                #expect(rules.passes == (verdict.kind == .allow), "\(context)")
                #expect(rules.decider.rules.map(\.location.lineDescription).unique == verdict.places, "\(context)")
                #expect(side.path.rules.map(\.location.lineDescription).unique == verdict.places, "\(context)")
                #expect(side.path.decision.kind == rules.decider.kind, "\(context)")
            }
        }
    }

    @Test("each change that explain proposes turns the answer round")
    func remedies() throws {
        var tried: [String: Int] = [:]
        for seed in 300..<420 as Range<UInt64> {
            var world = RandomWorld(seed: seed)
            let (policies, inventory, options) = (world.policies, world.inventory, world.options)
            let explainer = Explainer(policies: policies, inventory: inventory, options: options)
            for _ in 0..<20 {
                let asked = world.question()
                let question = SideExplanation.Question(
                    subject: asked.endpoint, node: "node-a", direction: asked.direction,
                    peer: asked.fromHost && asked.endpoint != Image.hostName ? .host : .address(asked.peer),
                    protocol: asked.protocol, port: asked.port)
                let explanation = try #require(explainer.explain(question))
                for remedy in explanation.remedies {
                    guard let changed = policies.applying(remedy, to: explanation) else { continue }
                    let after = try #require(
                        Explainer(policies: changed, inventory: inventory, options: options).explain(question))
                    tried[remedy.name, default: 0] += 1
                    #expect(
                        after.decider.passes != explanation.decider.passes, "\(remedy) for \(question), seed \(seed)")
                }
            }
        }
        for name in ["remove", "widenPeers", "widenPorts", "addRule"] {
            #expect(tried[name, default: 0] > 20, "\(tried)")
        }
    }
}

extension SideExplanation.Remedy {
    fileprivate var name: String {
        switch self {
        case .remove: "remove"
        case .widenPeers: "widenPeers"
        case .widenPorts: "widenPorts"
        case .addRule: "addRule"
        case .enforce: "enforce"
        }
    }
}

extension SideVerdict {
    fileprivate var places: [String] { wouldBe?.rules ?? rules }
}

extension [String] {
    fileprivate var unique: [String] { Set(self).sorted() }
}

extension RandomWorld {
    fileprivate mutating func flow() -> Flow {
        func end(_ isSource: Bool) -> Flow.Peer {
            let pods = inventory.endpoints.map(\.qualifiedName)
            return switch Int.random(in: 0..<6, using: &generator) {
            case 0...2: .endpoint(pick(pods))
            case 3: .address(pick(Self.addresses.filter { !isSource || !$0.isMulticast && !$0.isBroadcast }))
            case 4: .host(nil)
            default: .remoteNode(pick(inventory.nodes.flatMap(\.addresses)))
            }
        }
        let proto = pick([IPProtocol.tcp, .tcp, .udp, .icmp, .icmpv6])
        return Flow(
            from: end(true), to: end(false), protocol: proto,
            port: proto == .tcp || proto == .udp ? pick(Self.ports) : pick([0, 3, 8, 128]))
    }
}

extension PolicySet {
    /// nil where the remedy is a policy that only a person can write.
    fileprivate func applying(_ remedy: SideExplanation.Remedy, to explanation: SideExplanation) -> PolicySet? {
        func changing(_ origin: RuleOrigin, _ change: (inout Rule) -> Void) -> PolicySet {
            PolicySet(
                specs: specs.map { spec in
                    var spec = spec
                    for index in spec.rules.indices where spec.rules[index].origin == origin {
                        change(&spec.rules[index])
                    }
                    return spec
                })
        }
        switch remedy {
        case .remove(let origins, _):
            return PolicySet(
                specs: specs.map { spec in
                    var spec = spec
                    spec.rules.removeAll { origins.contains($0.origin) }
                    return spec
                })
        case .widenPeers(let origin): return changing(origin) { $0.peers = .any }
        case .widenPorts(let origin): return changing(origin) { $0.ports = .any }
        case .addRule(let action):
            guard
                let index = specs.firstIndex(where: { spec in
                    spec.tier == .network && !spec.isAudited && explanation.specs.contains { $0.origin == spec.origin }
                })
            else { return nil }
            var changed = specs
            var origin = changed[index].origin
            origin.section = "\(explanation.question.direction.rawValue)Added"
            changed[index].rules.append(
                Rule(
                    origin: origin, direction: explanation.question.direction, action: action, peers: .any,
                    ports: .any))
            return PolicySet(specs: changed)
        case .enforce: return nil
        }
    }
}
