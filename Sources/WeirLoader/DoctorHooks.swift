internal import WeirABI
internal import WeirKernel
internal import WeirModel
internal import WeirNetlink

/// The hooks: what runs there, and what runs before it.
extension Loader {
    func examineHooks(_ maps: PinnedMaps, _ word: ControlValue, _ report: inout DoctorReport) throws {
        let survey = try AttachmentSurvey(layout, ownPrograms: try PinnedSet.programIDs(layout))
        for pin in survey.deadPins {
            report.add(
                .warning, .linkDead, "\(pin) is a link whose interface is gone", remedy: "weir apply … again")
        }
        let known = try endpointNames(maps, word)
        for (index, name) in known.sorted(by: { $0.key < $1.key }) {
            guard let interface = survey.names[index] else {
                report.add(
                    .warning, .interfaceGone, "\(name): its interface (index \(index)) is gone",
                    remedy: "weir apply … with an inventory of today")
                continue
            }
            for direction in Direction.allCases.sorted()
            where survey.attached[Hook(interface: index, direction: direction)] == nil {
                report.add(
                    .error, .hookMissing,
                    "\(name): nothing of weir runs on \(interface)/\(direction.rawValue), where everything passes",
                    remedy: "weir apply … again")
            }
        }
        for (hook, attachment) in survey.attached.sorted(by: { $0.key < $1.key }) {
            let place = describe(hook, attachment.kind, survey.names)
            if known[hook.interface] == nil {
                report.add(
                    .warning, .hookUnneeded, "\(place) is no endpoint's under the policy in force: everything passes",
                    remedy: "weir apply … again")
            }
            try examineMaps(of: attachment, maps, place, &report)
            try examineChain(hook, attachment, place, survey, &report)
        }
        try examineUnused(survey, hasEndpoints: !known.isEmpty, &report)
    }

    /// By interface index.
    private func endpointNames(_ maps: PinnedMaps, _ word: ControlValue) throws -> [UInt32: String] {
        let image = try activeImage(maps, word)
        let names = Dictionary((image?.endpoints ?? []).map { ($0.id, $0.name) }) { $1 }
        var known: [UInt32: String] = [:]
        for entry in try read(try maps(.endpoints), word.activeSlot) {
            // Index 0 is the node, for its own endpoints.
            guard let index = UInt32(abiBytes: entry.key), index != 0,
                let value = weir_endpoint(abiBytes: entry.value)
            else {
                continue
            }
            known[index] = names[value.id] ?? "endpoint \(value.id)"
        }
        return known
    }

    private func examineMaps(
        of attachment: Attachment, _ maps: PinnedMaps, _ place: String, _ report: inout DoctorReport
    ) throws {
        guard let program = try Program.withID(attachment.programID) else { return }
        let read = [try maps(.control), try maps(.endpoints), try maps(.peers)]
        guard let unread = read.first(where: { !program.mapIDs.contains($0.id) }) else { return }
        report.add(
            .error, .programOtherMaps,
            "\(place): program \(program.id) does not read the pinned '\(unread.schema.name)': what is applied is not "
                + "what is enforced", remedy: "weir detach, then weir apply …")
    }

    private func examineChain(
        _ hook: Hook, _ attachment: Attachment, _ place: String, _ survey: AttachmentSurvey,
        _ report: inout DoctorReport
    ) throws {
        let interface = survey.names[hook.interface] ?? "interface \(hook.interface)"
        var isBefore = true
        func meet(_ kind: AttachKind, _ id: UInt32?, _ filter: TrafficFilter?) throws {
            if id == attachment.programID {
                isBefore = false
                return
            }
            let name = try programName(id) ?? filter.map { $0.name.isEmpty ? $0.kind : $0.name } ?? "unknown"
            report.neighbours.append(
                Neighbour(
                    interface: interface, direction: hook.direction, kind: kind, programID: id, name: name,
                    isBefore: isBefore))
            // Another weir leaves to others what it allows, and a quarantine allows nothing. The kernel keeps 15 bytes of
            // a name.
            let harmless = (ProgramName.judging + [ProgramName.quarantine]).map { String($0.prefix(15)) }
            guard isBefore, !harmless.contains(name) else { return }
            let who = id.map { "program '\(name)' (id \($0))" } ?? "a filter of kind '\(name)'"
            if let filter {
                report.add(
                    filter.isDirectAction ? .error : .warning, .filterBefore,
                    "\(place): \(who), priority \(filter.priority), runs before weir: what it takes a decision about "
                        + "is never judged",
                    remedy: "give it a priority above \(ClassicFilter.priority) (tc filter … prio 10)")
            } else {
                report.add(
                    .warning, .programBefore,
                    "\(place): \(who) runs before weir: what it accepts or redirects is never judged",
                    remedy: attachment.kind == .clsact
                        ? "weir apply --attach tcx …: tcx runs before clsact"
                        : "weir detach, then weir apply …, which attaches at the head; then attach it after weir")
            }
        }
        for id in try TCXLink.chain(interface: hook.interface, direction: hook.direction) { try meet(.tcx, id, nil) }
        let filters = try Netlink().filters(interface: hook.interface, egressHook: hook.direction == .ingress)
        for filter in filters { try meet(.clsact, filter.programID, filter) }
    }

    private func programName(_ id: UInt32?) throws -> String? {
        guard let id, let program = try Program.withID(id) else { return nil }
        return program.name
    }

    private func examineUnused(
        _ survey: AttachmentSurvey, hasEndpoints: Bool, _ report: inout DoctorReport
    ) throws {
        let running = Set(survey.attached.values.map(\.programID))
        for name in try Files.list(layout.programs) ?? [] where !name.hasSuffix("_new") && hasEndpoints {
            let directory = "\(layout.programs)/\(name)"
            guard let programs = try Programs(pinnedIn: directory) else { continue }
            if running.isDisjoint(with: programs.ids.values) {
                report.add(
                    .warning, .programUnused, "no hook runs the programs in \(directory)", remedy: "weir apply … again")
            }
        }
    }
}
