/// What the node was told, against what it has.
extension Loader {
    func examineLocal(_ report: inout DoctorReport) throws {
        let survey = try AttachmentSurvey(layout, ownPrograms: try PinnedSet.programIDs(layout))
        let local: LocalStatus
        do { local = try localStatus(judged: Set(survey.attached.keys.map(\.interface))) } catch LoaderError.refused(
            let reason, let hint)
        {
            report.add(.error, .stateDamaged, reason, remedy: hint)
            return
        }
        report.local = local
        for denied in local.denied {
            report.add(
                .warning, .endpointDenied,
                "\(denied.endpoint ?? denied.interface): nothing passes at \(denied.interface): \(denied.reason)",
                remedy: "apply an inventory that has it, or weir endpoint add … --label …")
        }
        for name in local.absentEndpoints {
            report.add(
                .warning, .endpointAbsent, "\(name) is in the inventory of this node and has no interface here",
                remedy: "weir apply … with an inventory of today, where it is gone")
        }
        if report.isLoaded {
            for interface in local.unjudgedInterfaces {
                report.add(
                    .warning, .interfaceUnjudged,
                    "\(interface) leads into another network namespace, and everything passes there",
                    remedy: "weir endpoint add … --interface \(interface), if policies are to hold for it")
            }
        }
        do { _ = try NodeSession(loader: self).lastGood() } catch {
            report.add(
                .error, .bundleLost, "after a reboot the policy could not be restored: \(LoaderError(error))",
                remedy: "weir apply … again")
        }
    }
}
