internal import WeirABI
package import WeirImage
internal import WeirKernel
internal import WeirMaps
package import WeirModel
internal import WeirNetlink

/// What may be done on the node while this process alone works on its state directory. Do not keep it.
package struct NodeSession {
    let loader: Loader

    /// Whether packets are judged now.
    package func isPolicyInForce() throws -> Bool {
        guard try Files.exists(loader.layout.root) else { return false }
        return try !loader.isReleased()
    }

    /// Whether somebody ran detach after the last apply, so that the node is open because it is meant to be.
    package func isOpened() throws -> Bool { try loader.state.lastGood().isOpened }

    /// Whether the policy in force goes away unless it is confirmed: until then nothing else can be put in force.
    package func isPending() throws -> Bool {
        guard try isPolicyInForce() else { return false }
        let control = try ControlState(reading: PinnedMaps(pinnedIn: loader.layout.root)(.control))
        guard let deadline = control.deadline, deadline.concerns(control.value) else { return false }
        return try loader.inForce(control) == control.value
    }

    /// Throws where pins or denied interfaces are another network namespace's: those would be lost sight of.
    package func requireHere() throws {
        if try Files.exists(loader.layout.root) { try loader.requireSameNamespace(try .current()) }
        try loader.state.requireDeniedHere()
    }

    // MARK: Endpoints of this node

    /// Of interfaces that exist, the newest first.
    package func registrations() throws -> [Registration] { try loader.state.registrations() }

    /// Also of interfaces that are gone.
    package func allRegistrations() throws -> [Registration] { try loader.state.allRegistrations() }

    package func save(_ registration: Registration) throws { try loader.state.save(registration) }

    /// false where there was none.
    package func remove(_ key: Registration.Key) throws -> Bool { try loader.state.removeRegistration(key) }

    /// Where these endpoints are here, and where they may be.
    package func locate(_ endpoints: [SoughtEndpoint]) throws -> LocatedEndpoints {
        var located = LocatedEndpoints()
        guard !endpoints.isEmpty else { return located }
        let names = Dictionary(try Netlink().interfaces().map { ($0.index, $0.name) }) { $1 }
        let finder = try InterfaceFinder()
        let judged = try judgedInterfaces()
        for endpoint in endpoints {
            do {
                let interface = try finder.interface(
                    of: endpoint.name, addresses: endpoint.addresses, attachment: endpoint.attachment)
                located.interfaces[endpoint.name] = NetworkInterfaceName(index: interface.index, name: interface.name)
            } catch let error as InterfaceNotFound {
                let indexes = Set(error.candidates + (judged[endpoint.name].map { [$0] } ?? []))
                located.candidates[endpoint.name] = indexes.sorted().compactMap { index in
                    names[index].map { NetworkInterfaceName(index: index, name: $0) }
                }
            }
        }
        return located
    }

    /// The interface indexes of the endpoints of the policy in force, by the endpoint's name. Empty without one.
    private func judgedInterfaces() throws -> [String: UInt32] {
        guard try isPolicyInForce() else { return [:] }
        let maps = try PinnedMaps(pinnedIn: loader.layout.root)
        let word = try loader.inForce(try ControlState(reading: maps(.control)))
        guard let image = try loader.activeImage(maps, word) else { return [:] }
        let names = Dictionary(image.endpoints.filter { !$0.isHost }.map { ($0.id, $0.name) }) { $1 }
        var judged: [String: UInt32] = [:]
        for entry in try loader.read(try maps(.endpoints), word.activeSlot) {
            guard let value = weir_endpoint(abiBytes: entry.value), let index = UInt32(abiBytes: entry.key),
                let name = names[value.id]
            else { continue }
            judged[name] = index
        }
        return judged
    }

    /// Whether the policy in force knows the endpoint's interface and judges what passes there, both ways.
    package func isPublished(_ registration: Registration) throws -> Bool {
        guard try isPolicyInForce() else { return false }
        let index = registration.interfaceIndex
        guard try !loader.state.denied().contains(where: { $0.index == index }) else { return false }
        let maps = try PinnedMaps(pinnedIn: loader.layout.root)
        // What a change in place left half-way is not what it is to be.
        for slot in 0..<Int(WEIR_SLOT_COUNT) where try maps.meta(slot: slot).state == WEIR_SLOT_BUILDING.rawValue {
            return false
        }
        let slot = try loader.inForce(try ControlState(reading: maps(.control))).activeSlot
        guard try loader.read(try maps(.endpoints), slot).contains(where: { UInt32(abiBytes: $0.key) == index }) else {
            return false
        }
        let survey = try AttachmentSurvey(loader.layout, ownPrograms: try PinnedSet.programIDs(loader.layout))
        return Direction.allCases.allSatisfy { survey.attached[Hook(interface: index, direction: $0)] != nil }
    }

    // MARK: Interfaces that let nothing pass

    /// - Returns: those that let something pass before.
    @discardableResult
    package func deny(_ interfaces: [DeniedInterface]) throws -> [DeniedInterface] { try loader.deny(interfaces) }

    package func allow(_ interfaces: Set<UInt32>) throws { try loader.allow(interfaces) }

    /// Everything that this set denied before is forgotten, and stays denied while its interface exists. For a file that
    /// nobody can read.
    package func forgetDenied() throws { try loader.state.save(denied: []) }

    /// Of interfaces that exist.
    package func denied() throws -> [DeniedInterface] {
        let present = Set(try Netlink().interfaces().map(\.index))
        return try loader.state.denied().filter { present.contains($0.index) }
    }

    /// Host sides of pairs whose other side is in another network namespace. One with a default route is the node's own
    /// way out, as a node that is itself a container has it.
    package func pairEnds() throws -> [NetworkInterfaceName] {
        let netlink = Netlink()
        let uplinks = try netlink.defaultRouteInterfaces()
        return try netlink.interfaces()
            .filter { $0.isPairEnd && $0.peerNamespaceID != nil && !uplinks.contains($0.index) }
            .map { NetworkInterfaceName(index: $0.index, name: $0.name) }
    }

    // MARK: What was in force last

    /// nil where nothing was ever applied, or a detach has ended it. Throws where the file was damaged.
    package func lastGood() throws -> LastApply? {
        let lastGood = try loader.state.lastGood()
        guard !lastGood.isOpened, lastGood.active != nil else { return nil }
        guard let kept = lastGood.inForce else {
            throw LoaderError.refused(
                "\(loader.state.path) has no bundle of the policy that was in force", hint: "apply it again")
        }
        return LastApply(
            bundle: RestorableBundle(bytes: try loader.state.bundle(kept), inventoryTime: kept.inventoryTime),
            options: loader.options.applied(as: kept))
    }

    // MARK: Apply

    package func apply(
        _ order: ApplyOrder, onStep: (ApplyStep) throws -> Void = { _ in }
    ) throws -> Loader.Outcome { try loader.applyLocked(order, onStep: onStep) }

    /// The same session under other options of the same place.
    package func with(_ options: Loader.Options) -> NodeSession {
        NodeSession(loader: Loader(options: options, object: loader.object))
    }
}

/// An endpoint whose interface is wanted.
package struct SoughtEndpoint {
    package var name: String
    package var addresses: [IPAddress]
    package var attachment: Endpoint.Attachment

    package init(_ endpoint: Endpoint) {
        (name, addresses, attachment) = (endpoint.qualifiedName, endpoint.addresses, endpoint.attachment)
    }

    /// nil for the host.
    package init?(_ record: Image.EndpointRecord) {
        guard let attachment = record.attachment else { return nil }
        (name, addresses, self.attachment) = (record.name, record.addresses, attachment)
    }
}

/// Where endpoints are on this node.
package struct LocatedEndpoints {
    /// By the endpoint's name.
    package var interfaces: [String: NetworkInterfaceName] = [:]
    /// Of those whose interface could not be told: those that it may be, and the one that it had under the policy in
    /// force. By the endpoint's name, sorted by index.
    package var candidates: [String: [NetworkInterfaceName]] = [:]
}

/// An interface of this network namespace.
package struct NetworkInterfaceName: Hashable, Sendable {
    package var index: UInt32
    package var name: String
}

/// What was applied last, and how.
package struct LastApply {
    package var bundle: RestorableBundle
    package var options: Loader.Options
}

extension Loader.Options {
    /// What was asked for then; places and patience are today's.
    fileprivate func applied(as kept: KeptBundle) -> Self {
        var options = self
        options.attachMode = kept.attachMode
        options.devices = kept.devices
        options.isAudited = kept.isAudited
        options.programs = DatapathOptions(rawValue: kept.programs)
        options.keepsPrograms = true
        // Whoever applied it first answered for what a host policy cuts.
        options.isForced = true
        options.confirmWithin = nil
        options.admission = nil
        return options
    }
}

extension Loader {
    /// Runs the body while this process alone works on the state directory.
    package func session<Value>(_ body: (NodeSession) throws -> Value) throws(LoaderError) -> Value {
        try bordered { try state.locked(timeout: options.lockTimeout) { try body(NodeSession(loader: self)) } }
    }

    /// The same without waiting for anybody, for what only looks.
    package func glance<Value>(_ body: (NodeSession) throws -> Value) throws(LoaderError) -> Value {
        try bordered { try body(NodeSession(loader: self)) }
    }
}

extension Loader {
    /// What leads from a network namespace to this one: host sides with the addresses of the other.
    package func connections(
        ofNamespaceAt path: String
    ) throws(LoaderError) -> [(interface: NetworkInterfaceName, addresses: [IPAddress])] {
        try bordered {
            try InterfaceFinder().connections(ofNamespaceAt: path).map {
                (NetworkInterfaceName(index: $0.hostSide.index, name: $0.hostSide.name), $0.addresses)
            }
        }
    }

    /// nil where there is no interface of that name here.
    package func interface(named name: String) throws(LoaderError) -> NetworkInterfaceName? {
        try bordered {
            try Netlink().interfaces().first { $0.name == name }
                .map { NetworkInterfaceName(index: $0.index, name: $0.name) }
        }
    }
}
