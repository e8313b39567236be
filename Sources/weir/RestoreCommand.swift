import ArgumentParser
import WeirBundle
import WeirLoader
import WeirNode

extension RestoreFailure: ExpressibleByArgument {}
extension AbsentEndpoints: ExpressibleByArgument {}

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "After a reboot, enforce what this node enforced last, before any pod starts.",
        discussion: """
            The state directory keeps the bundle of the last apply; its digest is checked, and with --trusted-keys its
            signature. Endpoints that are not there yet are left out until weir cni or weir endpoint add brings them.
            Where a tunnel was applied, it is restored, too. The systemd unit weir-restore.service runs this.

            If it cannot restore, nothing passes at the interfaces of the endpoints that it finds, nor of pods that come,
            and the status is 3; --fail open leaves them as they are. Nothing is done where a policy is in force, where
            none ever was, and after weir detach, which opens a node on purpose.

            Example: sudo weir restore
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(help: "Where it cannot restore: deny or open.")
    var fail = Environment.value("FAIL", default: RestoreFailure.deny)
    @OptionGroup(title: "Trust") var trust: TrustOptions
    @OptionGroup(title: "Place") var tunnelPlace: TunnelPlaceOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    private var place: PlaceOptions { tunnelPlace.place }

    func run() throws {
        try refusing {
            let restored: Restored
            do throws(RestoreRefused) {
                restored = try NodeOperator(place.options()).restore(onFailure: fail, accept: requireTrusted)
            } catch {
                throw Refusal(error.description, hint: Self.hint(error, fail))
            }
            var report = RestoreReport(restored)
            do throws(LoaderError) { report.tunnel = try tunnelPlace.loader().restore() } catch {
                throw Refusal(
                    "\(report.text.split(separator: "\n").first ?? ""), but the tunnel could not be restored: \(error)",
                    hint: "weir wireguard status; then weir restore once more")
            }
            try Terminal.output(output == .json ? try json(report) : report.text)
        }
    }

    /// Read anew at each start: a key that was taken away since is believed no longer.
    private func requireTrusted(_ container: BundleContainer) throws {
        guard let keys = try trust.keys() else { return }
        do throws(BundleTrustError) { _ = try keys.require(container) } catch {
            throw LoaderError.refused("the bundle that was applied last is not trusted: \(error)", hint: error.hint)
        }
    }

    private static func hint(_ refused: RestoreRefused, _ fail: RestoreFailure) -> String? {
        if let hint = Refusal.rootHint { return hint }
        if case .afterCommit = refused.cause { return "run weir doctor" }
        guard fail == .deny else { return "nothing is judged on this node: apply a policy" }
        let places = refused.denied.map(\.interface).joined(separator: ", ")
        return (places.isEmpty ? "there was no endpoint to deny" : "nothing passes at \(places)")
            + "; apply a policy, or open the node with weir detach"
    }
}

/// What `weir restore` prints.
private struct RestoreReport: Encodable {
    enum Result: String, Encodable { case restored, nothing }

    var result: Result
    /// Of nothing: why.
    var reason: String?
    var outcome: Loader.Outcome?
    var endpoints: Int?
    /// nil where there was none.
    var tunnel: TunnelLoader.Outcome?

    init(_ restored: Restored) {
        switch restored {
        case .nothing(let why): (result, reason) = (.nothing, why)
        case .applied(let applied):
            result = .restored
            outcome = applied.outcome
            endpoints = applied.image.endpoints.count
        }
    }

    var text: String {
        var lines: [String] = []
        if let outcome {
            lines.append("restored revision \(outcome.revision) with \(endpoints ?? 0) endpoints")
            lines += outcome.localText
        } else {
            lines.append("nothing to restore: \(reason ?? "")")
        }
        if let tunnel {
            let names = tunnel.interfaces.joined(separator: ", ")
            lines.append(tunnel.result == .applied ? "restored the tunnel on \(names)" : "the tunnel on \(names) is up")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Loader.Outcome {
    /// What became of endpoints that the policy and the node do not both know.
    var localText: [String] {
        var lines = denied.map { "  denied \($0.endpoint ?? "?") at \($0.interface): \($0.reason)" }
        if !absent.isEmpty {
            lines.append("  left out, as they have no interface here: \(absent.joined(separator: ", "))")
        }
        return lines
    }
}
