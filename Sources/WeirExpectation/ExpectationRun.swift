package import WeirDiagnostics
internal import WeirFlow
package import WeirImage
package import WeirModel

/// Judges expectations, exactly: every pair of ends and every port, by the same images and emulator as `weir verdict`.
package struct ExpectationRun {
    let judge: PairJudge
    let policies: PolicySet
    let inventory: Inventory
    private let hostFirewall: Bool

    /// - Parameter image: of a node; asked once for each.
    package init(
        policies: PolicySet, inventory: Inventory, hostFirewall: Bool = false, image: @escaping (String) -> Image
    ) {
        judge = PairJudge(inventory, hostFirewall: hostFirewall, makeImage: image)
        self.policies = policies
        self.inventory = inventory
        self.hostFirewall = hostFirewall
    }

    /// What becomes of each. An expectation that is about no flow at all is an error in the file, as it would pass
    /// for ever.
    package func report(
        _ documents: [Expectations], diagnostics: inout DiagnosticsCollector
    ) throws -> ExpectationReport {
        let names = documents.flatMap { document in
            (document.flows.flatMap { [$0.from, $0.to] } + document.closed.flatMap { [$0.from, $0.to] })
                .flatMap(\.endpoints)
        }
        let pairs = EndPairs(judge: judge, classes: try EndpointClasses(names, judge))
        var touched: Set<Int> = []
        var outcomes: [ExpectationReport.Outcome] = []
        for document in documents {
            for flow in document.flows {
                var failures: [ExpectationReport.Failure] = []
                let families = flow.family.map { [$0] } ?? AddressFamily.allCases
                let met = try pairs.meetings(flow.from, flow.to, families.filter(flow.travels))
                report(met, flow, &diagnostics)
                for meeting in met.meetings {
                    failures += check(meeting, flow, &touched)
                }
                outcomes.append(outcome(.flow, flow.name, document, flow.location, met, failures))
            }
            for closed in document.closed {
                let holes = ClosedFlows(document.flows.filter { $0.verdict == .allow }, judge)
                let met = try pairs.meetings(
                    closed.from, closed.to, AddressFamily.allCases, apart: holes.membership)
                if met.meetings.isEmpty, let error = met.firstError {
                    diagnostics.error(.invalidFlow, error.description, at: closed.location)
                }
                var failures: [ExpectationReport.Failure] = []
                for meeting in met.meetings {
                    failures += merged(holes.holes(meeting, &touched), meeting)
                }
                outcomes.append(outcome(.noOtherFlows, closed.name, document, closed.location, met, failures))
            }
        }
        return ExpectationReport(outcomes, coverage: coverage(touched))
    }

    private func report(_ met: EndPairs.Met, _ flow: FlowExpectation, _ diagnostics: inout DiagnosticsCollector) {
        guard met.meetings.isEmpty else { return }
        if let error = met.firstError {
            diagnostics.error(.invalidFlow, error.description, at: flow.location)
        } else if !(flow.from.isEmpty || flow.to.isEmpty) {
            diagnostics.error(
                .emptyExpectation,
                "there is no such flow: from and to are one endpoint, or nothing travels between them over the family",
                at: flow.location)
        }
    }

    private func outcome(
        _ kind: ExpectationReport.Outcome.Kind, _ name: String, _ document: Expectations, _ location: SourceLocation,
        _ met: EndPairs.Met, _ failures: [ExpectationReport.Failure]
    ) -> ExpectationReport.Outcome {
        ExpectationReport.Outcome(
            expectations: document.name, kind: kind, name: name, path: location.path, line: location.line,
            column: location.column, pairs: met.meetings.reduce(0) { $0 + $1.pairs }, failures: failures)
    }

    // MARK: Flows

    private func check(
        _ meeting: EndPairs.Meeting, _ flow: FlowExpectation, _ touched: inout Set<Int>
    ) -> [ExpectationReport.Failure] {
        var problems: [(Piece, String)] = []
        for ports in flow.ports {
            for piece in judge.pieces(meeting.sides, ports, meeting.family) {
                touched.formUnion([piece.egress, piece.ingress].compactMap { $0?.rules })
                if let problem = problem(piece, flow) { problems.append((piece, problem)) }
            }
        }
        return merged(problems, meeting)
    }

    private func problem(_ piece: Piece, _ flow: FlowExpectation) -> String? {
        if piece.isAllowed != (flow.verdict == .allow) {
            return piece.isAllowed
                ? "is allowed, and expected to be denied" : "is denied, and expected to be allowed"
        }
        if let wanted = flow.egress, let problem = Self.problem("egress", piece.egress, wanted) { return problem }
        if let wanted = flow.ingress, let problem = Self.problem("ingress", piece.ingress, wanted) { return problem }
        guard let rule = flow.rule else { return nil }
        // Where a side refuses, what the other side allows by decides nothing.
        let deciding = [piece.egress, piece.ingress].compactMap(\.self).filter { $0.passes == piece.isAllowed }
        let isNamed = deciding.contains { ruling in
            (ruling.kind == .allow) == piece.isAllowed
                && judge.register.rules[ruling.rules].contains(where: rule.matches)
        }
        return isNamed ? nil : "is not decided by \(rule)"
    }

    // Not inlined: in a loop over both sides the compiler chose other registers from run to run.
    @inline(never)
    private static func problem(_ side: String, _ ruling: Ruling?, _ wanted: SideVerdict.Kind) -> String? {
        let found = ruling?.verdict ?? .none
        return found == wanted ? nil : "has \(side) \(found.rawValue), and \(wanted.rawValue) is expected"
    }

    /// Pieces with one problem and the same rulings are one failure.
    private func merged(
        _ problems: [(piece: Piece, problem: String)], _ meeting: EndPairs.Meeting
    ) -> [ExpectationReport.Failure] {
        var order: [[String]] = []
        var failures: [[String]: ExpectationReport.Failure] = [:]
        for (piece, problem) in problems {
            let egress = side(piece.egress)
            let ingress = side(piece.ingress)
            let key = [problem, egress.text, ingress.text]
            if failures[key] == nil { order.append(key) }
            failures[
                key,
                default: ExpectationReport.Failure(
                    from: meeting.from.name, to: meeting.to.name, pairs: meeting.pairs, family: meeting.family,
                    ports: [], problem: problem, egress: egress, ingress: ingress)
            ].ports.append(piece.text)
        }
        return order.compactMap { failures[$0] }
    }

    private func side(_ ruling: Ruling?) -> ExpectationReport.Side {
        guard let ruling else { return ExpectationReport.Side(verdict: SideVerdict.Kind.none.rawValue, rules: []) }
        return ExpectationReport.Side(
            verdict: ruling.verdict.rawValue, rules: judge.register.places(ruling),
            audit: ruling.isAudited ? ruling.kind.rawValue : nil)
    }

    // MARK: Coverage

    /// Over all rules that can decide a flow, and the default denies of specs. Rules in audit mode, passes and, without a
    /// host firewall, the rules of nodes decide none.
    private func coverage(_ touched: Set<Int>) -> ExpectationReport.Coverage {
        let specs = policies.specs.filter { spec in
            if case .nodes = spec.subject, !hostFirewall { return false }
            return !spec.isAudited
        }
        let origins = specs.flatMap { spec in
            (spec.enforces.isEmpty ? [] : [spec.origin]) + spec.rules.filter { $0.action != .pass }.map(\.origin)
        }
        let decided = Set(touched.flatMap { judge.register.rules[$0] })
        let untouched = origins.filter { !decided.contains($0) }
        return ExpectationReport.Coverage(
            rules: origins.count, touched: origins.count - untouched.count,
            untouched: untouched.sorted { ($0.location, $0) < ($1.location, $1) }.map {
                ExpectationReport.Coverage.Rule(
                    rule: $0.description, path: $0.location.path, line: $0.location.line)
            })
    }
}

extension Ends {
    var isEmpty: Bool { peers.isEmpty && endpoints.isEmpty }
}

extension FlowExpectation {
    /// Whether any of its ports exists over a family.
    func travels(_ family: AddressFamily) -> Bool {
        ports.contains { choice in
            guard case .range(let proto, _) = choice else { return true }
            return proto.family == nil || proto.family == family
        }
    }

    /// Whether its ports hold a piece's range; a piece of every other protocol only fits into everything.
    func ports(of piece: Piece) -> [ClosedRange<UInt16>] {
        ports.compactMap { choice in
            switch choice {
            case .everything: piece.ports
            case .other: piece.proto.map(IPProtocol.common.contains) == true ? nil : piece.ports
            case .range(let proto, let range): proto == piece.proto ? range : nil
            }
        }
    }
}

extension Flow.Peer {
    /// As a flow writes it.
    var name: String {
        switch self {
        case .endpoint(let name): name
        case .address(let address): "ip:\(address)"
        case .host(let address): address.map { "host:\($0)" } ?? "host"
        case .remoteNode(let address): "remote-node:\(address)"
        }
    }
}
