package import WeirBundle
internal import WeirImage
package import WeirLoader
internal import WeirModel

/// What a restore found to do.
package enum Restored {
    case applied(NodeOperator.Applied)
    /// Nothing had to be done, and why.
    case nothing(reason: String)
}

/// What a restore that fails leaves behind.
package enum RestoreFailure: String, Hashable, Sendable, CaseIterable {
    /// Interfaces of endpoints let nothing pass.
    case deny
    /// Everything is as it was found.
    case open
}

/// The policy could not be restored.
package struct RestoreRefused: Error, Sendable, CustomStringConvertible {
    package var cause: LoaderError
    /// Interfaces that let nothing pass since.
    package var denied: [DeniedInterface]
    /// Why not even that could be done.
    package var denialFailed: LoaderError?

    package var description: String {
        var text = "the policy could not be restored: \(cause)"
        if let denialFailed { text += "; and its endpoints could not be denied: \(denialFailed)" }
        return text
    }
}

extension NodeOperator {
    /// Puts in force what was in force before the machine was started anew. Endpoints that are not there are left out.
    ///
    /// - Parameter accept: throws where the bundle is not to be believed.
    package func restore(
        onFailure: RestoreFailure = .deny, accept: (BundleContainer) throws -> Void = { _ in }
    ) throws(RestoreRefused) -> Restored {
        do throws(LoaderError) {
            return try loader.session { session in
                if try session.isPolicyInForce() { return .nothing(reason: "a policy is in force already") }
                if try session.isOpened() {
                    return .nothing(reason: "weir detach has opened this node: apply protects it again")
                }
                guard let last = try session.lastGood() else {
                    return .nothing(reason: "no policy was ever applied here")
                }
                try accept(BundleContainer(decoding: last.bundle.bytes))
                let order = try NodePolicy(last.bundle).order(in: session, absent: .leaveOut)
                return .applied(
                    Applied(outcome: try session.with(last.options).apply(order), image: order.image))
            }
        } catch {
            var refused = RestoreRefused(cause: error, denied: [])
            // The policy is in force and judges: what failed comes after it.
            if case .afterCommit = error { throw refused }
            if onFailure == .deny {
                do throws(LoaderError) {
                    refused.denied = try denyAll("it could not be restored: \(error)", accept)
                } catch {
                    refused.denialFailed = error
                }
            }
            throw refused
        }
    }

    /// Lets nothing pass at the interfaces of endpoints: of those that are registered or that the last policy knows.
    /// Where nobody can say which that are, or who says it is not to be believed, of all that lead into another network
    /// namespace.
    private func denyAll(
        _ reason: String, _ accept: (BundleContainer) throws -> Void
    ) throws(LoaderError) -> [DeniedInterface] {
        try loader.session { session in
            var denied: [DeniedInterface] = []
            do {
                denied = try session.registrations().map { $0.denied(reason) }
                guard let last = try session.lastGood() else {
                    throw LoaderError.refused("nobody says which endpoints there are", hint: "apply a policy")
                }
                try accept(BundleContainer(decoding: last.bundle.bytes))
                let sought = try NodePolicy(last.bundle).image.endpoints.compactMap(SoughtEndpoint.init)
                let located = try session.locate(sought)
                let found =
                    located.interfaces.map { ($0.key, $0.value) }
                    + located.candidates.flatMap { name, places in places.map { (name, $0) } }
                denied += found.map { endpoint, interface in
                    DeniedInterface(
                        interface: interface.name, index: interface.index, endpoint: endpoint, reason: reason)
                }
            } catch {
                denied += try session.pairEnds().map {
                    DeniedInterface(interface: $0.name, index: $0.index, reason: reason)
                }
            }
            let distinct = Dictionary(denied.map { ($0.index, $0) }) { first, _ in first }
            let list = distinct.values.sorted { $0.index < $1.index }
            do { _ = try session.denied() } catch { try session.forgetDenied() }
            try session.deny(list)
            return list
        }
    }
}
