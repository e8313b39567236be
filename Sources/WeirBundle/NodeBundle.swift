internal import WeirABI
package import WeirImage
package import WeirModel
package import WeirWireGuard

/// Everything that one node needs to enforce its policies, in one file: equal input gives equal bytes.
///
/// No secret is in it. The tunnel names public keys, and paths of files that are on the node.
package struct NodeBundle: Hashable, Sendable {
    /// What a later apply compiles again, so that a rollback knows the pods of that day. Without them a change of pods
    /// costs the way back.
    package struct Sources: Hashable, Sendable {
        /// A `KeptPolicy`.
        package var policies: [UInt8]
        /// The reduced inventory, as JSON.
        package var inventory: [UInt8]

        package init(policies: [UInt8], inventory: [UInt8]) {
            self.policies = policies
            self.inventory = inventory
        }
    }

    package var image: Image
    /// nil where the node publishes no key.
    package var tunnel: TunnelConfiguration?
    /// Sorted.
    package var apiServers: [IPAddress]
    package var sources: Sources?
    package var provenance: Provenance

    package init(
        image: Image, tunnel: TunnelConfiguration? = nil, apiServers: [IPAddress] = [], sources: Sources? = nil,
        provenance: Provenance
    ) {
        self.image = image
        self.tunnel = tunnel
        self.apiServers = Set(apiServers).sorted()
        self.sources = sources
        self.provenance = provenance
    }

    /// Sealed and without a signature.
    package func sealed() -> BundleContainer {
        var contents: [BundleContainer.Section: [UInt8]] = [
            .provenance: CanonicalJSON.encoded(provenance), .image: image.encoded(),
            .access: CanonicalJSON.encoded(NodeAccess(apiServers: apiServers.map(\.description))),
        ]
        contents[.tunnel] = tunnel?.encoded()
        contents[.policies] = sources?.policies
        contents[.inventory] = sources?.inventory
        return BundleContainer(sealing: contents)
    }

    /// What the sections hold. Everything that anybody reads later is checked here, whoever made the bundle.
    package init(_ container: BundleContainer) throws(BundleFormatError) {
        func damaged(_ what: String) -> BundleFormatError { BundleFormatError("the bundle is damaged: \(what)") }
        guard let bytes = container.content(.provenance),
            let provenance = CanonicalJSON.decode(Provenance.self, bytes),
            provenance.inputs.map(\.path) == Set(provenance.inputs.map(\.path)).sorted()
        else { throw damaged("its provenance cannot be read") }
        guard provenance.abi == UInt32(WEIR_ABI_VERSION) else {
            throw BundleFormatError(
                "a bundle of ABI \(provenance.abi) by weir \(provenance.weir), and this weir has ABI "
                    + "\(WEIR_ABI_VERSION); compile it again with this weir")
        }
        let encodedImage = container.content(.image) ?? []
        let image: Image
        do throws(ImageFormatError) { image = try Image(decoding: encodedImage) } catch {
            throw damaged(error.description)
        }
        if let contradiction = image.contradiction { throw damaged(contradiction) }
        guard image.encoded() == encodedImage else { throw damaged("its image is not written as weir writes it") }
        guard image.node == provenance.node else { throw damaged("its provenance names another node than its image") }

        var tunnel: TunnelConfiguration?
        if let bytes = container.content(.tunnel) {
            do throws(TunnelEncodingError) { tunnel = try TunnelConfiguration(encoded: bytes) } catch {
                throw damaged(error.description)
            }
            if tunnel?.node != image.node { throw damaged("its tunnel is of another node than its image") }
            if let problem = tunnel?.contradiction { throw damaged(problem) }
        }
        guard let access = container.content(.access).flatMap({ CanonicalJSON.decode(NodeAccess.self, $0) }) else {
            throw damaged("what the node must reach cannot be read")
        }
        let servers = access.apiServers.compactMap { IPAddress($0) }
        guard servers.count == access.apiServers.count, NodeAccess(apiServers: servers.map(\.description)) == access
        else { throw damaged("the address of an API server is none") }

        switch (container.content(.policies), container.content(.inventory)) {
        case (nil, nil): sources = nil
        case (let policies?, let inventory?): sources = Sources(policies: policies, inventory: inventory)
        default: throw damaged("it has policies or an inventory, but not both")
        }
        self.image = image
        self.tunnel = tunnel
        self.apiServers = servers.sorted()
        self.provenance = provenance
    }
}

extension TunnelConfiguration {
    /// Why no node can have this tunnel, whoever wrote it; nil where one can.
    fileprivate var contradiction: String? {
        let shape = TunnelOptions(
            listenPort: listenPort, firewallMark: firewallMark, routingTable: routingTable,
            rulePreference: rulePreference)
        if let problem = shape.problem { return "its tunnel is not possible: \(problem)" }
        guard (1...2).contains(interfaces.count),
            interfaces.elementsEqual(Self.interfaceNames.prefix(interfaces.count))
        else { return "its tunnel has interfaces of other names than weir's" }
        let mtus = [mtu] + peers.map(\.mtu) + routes.compactMap(\.mtu)
        guard mtus.allSatisfy({ (0...65_535).contains($0) }) else { return "its tunnel has an MTU that cannot be" }
        let keyFiles = peers.compactMap(\.presharedKeyFile)
        guard keyFiles.allSatisfy({ $0.hasPrefix("/") && !$0.utf8.contains(0) }) else {
            return "its tunnel names a key file that is no absolute path"
        }
        return nil
    }
}
