package import WeirImage
package import WeirLoader
package import WeirModel

/// Puts on a node what is to be in force there: a policy for the endpoints that it has now.
///
/// Every call works under the lock of the state directory, does its work and returns.
package struct NodeOperator {
    let loader: Loader

    package init(_ options: Loader.Options) { loader = Loader(options: options) }

    // MARK: Apply

    package struct Applied {
        package var outcome: Loader.Outcome
        /// What is in force now.
        package var image: Image
    }

    package func apply(
        _ policy: NodePolicy, absent: AbsentEndpoints = .refuse, onStep: (ApplyStep) throws -> Void = { _ in }
    ) throws(LoaderError) -> Applied {
        try loader.session { session in
            let order = try policy.order(in: session, absent: absent)
            return Applied(outcome: try session.apply(order, onStep: onStep), image: order.image)
        }
    }

    /// What an apply would do. Changes nothing.
    package func plan(_ policy: NodePolicy, absent: AbsentEndpoints = .refuse) throws(LoaderError) -> Plan {
        try loader.plan { try policy.order(in: $0, absent: absent) }
    }

    /// What an apply would put in force here and now, with the endpoints that this node was told of; nil where that is
    /// what the sources say alone.
    package func image(of sources: NodePolicy.Sources, node: String) throws(LoaderError) -> Image? {
        try loader.glance { session in
            let present = try PresentEndpoints(
                sources, node: node, try session.registrations(), in: session, .refuse)
            return present.isAsItWas ? nil : sources.policy.image(present.inventory, node: node)
        }
    }

    // MARK: Endpoints

    /// Denies everything at the interface, writes the registration, puts it in force with what was applied last, and
    /// lets the interface go if that worked.
    ///
    /// - Parameter isUndone: where it fails, whether the interface becomes what it was; otherwise it stays denied.
    package func register(_ registration: Registration, isUndone: Bool) throws(LoaderError) -> Admission {
        try loader.session { session in
            try session.requireHere()
            if try session.isOpened() {
                try session.save(registration)
                return .open(reason: "weir detach has opened this node; apply protects it again")
            }
            let living = try session.registrations()
            if living.contains(registration), try session.isPublished(registration) { return .published }
            let index = registration.interfaceIndex
            if let other = living.first(where: { $0.interfaceIndex == index && $0.key != registration.key }) {
                throw LoaderError.refused(
                    "\(registration.interface) is that of \(other.qualifiedName), registered as \(other.key)",
                    hint: "remove that first: weir endpoint remove \(other.qualifiedName)")
            }
            let former = try session.allRegistrations().first { $0.key == registration.key }
            let left = living.first { $0.key == registration.key && $0.interfaceIndex != index }
            let deniedBefore = try session.denied()
            // Kept: if this run ends here, no apply that does not know the interface opens it.
            var imposed = try session.deny([registration.denied("it is being added", isKept: true)])
            do {
                if let left {
                    imposed += try session.deny([
                        left.denied("its endpoint was added at \(registration.interface)", isKept: true)
                    ])
                }
                try session.save(registration)
                if try session.isPending() { throw LoaderError.pending }
                guard try session.isPolicyInForce(), let last = try session.lastGood() else {
                    let reason = "no policy is in force: weir restore, or weir apply"
                    try session.deny([registration.denied(reason)])
                    return .denied(reason: reason)
                }
                let order = try putInForce(last, in: session)
                guard try session.registrations().contains(where: { $0.key == registration.key }) else {
                    throw LoaderError.refused("\(registration.interface) is gone", hint: "make it, and add it again")
                }
                let denied = order.denied.first { $0.index == index }
                return denied.map { .denied(reason: $0.reason) } ?? .published
            } catch {
                if case .afterCommit? = error as? LoaderError { throw error }
                if isUndone {
                    if let former { try session.save(former) } else { _ = try session.remove(registration.key) }
                    try session.allow(Set(imposed.map(\.index)))
                    let touched = [index, left?.interfaceIndex]
                    try session.deny(deniedBefore.filter { touched.contains($0.index) })
                } else {
                    try session.deny([registration.denied("it could not be added: \(error)")])
                }
                throw error
            }
        }
    }

    /// Forgets registrations. Their interfaces let nothing pass as long as they exist, unless they are to be opened.
    ///
    /// A registration goes last: where a run ends before, whoever asked for it asks again and finds all of it to do.
    /// What a removed one has left denied can be opened later, by the endpoint's name.
    ///
    /// - Returns: those that there were.
    @discardableResult
    package func unregister(_ keys: [Registration.Key], isOpening: Bool = false) throws(LoaderError) -> [Registration] {
        try loader.session { session in
            try session.requireHere()
            let keys = Set(keys)
            let known = try session.allRegistrations().filter { keys.contains($0.key) }
            let leftDenied = try session.denied().filter { entry in
                entry.isKept && entry.endpoint.map { keys.contains(.endpoint($0)) } == true
            }
            guard !known.isEmpty else {
                if isOpening { try session.allow(Set(leftDenied.map(\.index))) }
                return leftDenied.compactMap(Registration.init)
            }
            let living = try session.registrations().filter { keys.contains($0.key) }
            if try !session.isOpened() {
                try session.deny(living.map { $0.denied("its registration was removed", isKept: true) })
            }
            // Where it cannot be put in force now, the next apply does; nothing passes meanwhile.
            if try session.isPolicyInForce(), try !session.isPending(), let last = try session.lastGood() {
                _ = try putInForce(last, without: keys, in: session)
            }
            if isOpening { try session.allow(Set(living.map(\.interfaceIndex) + leftDenied.map(\.index))) }
            for key in keys { _ = try session.remove(key) }
            return known
        }
    }

    /// Applies again what was applied last, with the endpoints of now. Interfaces come and go without asking anybody: if
    /// one did meanwhile, once more.
    @discardableResult
    private func putInForce(
        _ last: LastApply, without removed: Set<Registration.Key> = [], in session: NodeSession
    ) throws -> ApplyOrder {
        let policy = try NodePolicy(last.bundle)
        for _ in 0..<5 {
            let before = try session.registrations()
            do {
                let order = try policy.order(in: session, absent: .leaveOut, without: removed)
                _ = try session.with(last.options).apply(order)
                return order
            } catch {
                if case .afterCommit? = error as? LoaderError { throw error }
                guard try session.registrations() != before else { throw error }
            }
        }
        throw LoaderError.refused("interfaces of endpoints come and go without a pause", hint: "try again")
    }

    // MARK: Confirm and rollback

    /// Makes the policy in force stay, and lets those speak that only it knows.
    package func confirm() throws(LoaderError) -> Loader.ConfirmOutcome {
        let outcome = try loader.confirm()
        if outcome.wasPending { try catchUp(outcome.revision) }
        return outcome
    }

    /// Makes the earlier policy the one in force, with the endpoints of now.
    package func rollback() throws(LoaderError) -> Loader.RollbackOutcome {
        let outcome = try loader.rollback()
        try catchUp(outcome.revision)
        return outcome
    }

    /// Registrations that had to wait are put in force.
    private func catchUp(_ revision: UInt64) throws(LoaderError) {
        do throws(LoaderError) {
            try loader.session { session in
                guard try session.isPolicyInForce(), try !session.isPending(), let last = try session.lastGood() else {
                    return
                }
                let waiting = Set(try session.denied().map(\.index))
                guard try session.registrations().contains(where: { waiting.contains($0.interfaceIndex) }) else {
                    return
                }
                try putInForce(last, in: session)
            }
        } catch { throw LoaderError.afterCommit(revision: revision, error) }
    }

    /// Of interfaces that exist or are gone, sorted by name.
    package func registrations() throws(LoaderError) -> [Registration] {
        try loader.glance { try $0.allRegistrations().sorted { $0.qualifiedName < $1.qualifiedName } }
    }

    /// Why a registered endpoint is not as it should be; nil where it is.
    package func problem(of registration: Registration) throws(LoaderError) -> String? {
        try loader.glance { session in
            guard try session.registrations().contains(where: { $0.key == registration.key }) else {
                return "\(registration.key) is not registered here"
            }
            if try session.isOpened() { return nil }
            if try session.denied().contains(where: { $0.index == registration.interfaceIndex }) { return nil }
            return try session.isPublished(registration)
                ? nil : "\(registration.qualifiedName) is not in force at \(registration.interface)"
        }
    }

    /// Why an endpoint that comes now would not be served; nil if it would.
    package func readiness() throws(LoaderError) -> String? {
        try loader.requireBPFFileSystem()
        return try loader.glance { session in
            guard try !session.isOpened(), try !session.isPolicyInForce() else { return nil }
            return "no policy is in force, so new pods are denied everything: weir restore, or weir apply"
        }
    }
}
