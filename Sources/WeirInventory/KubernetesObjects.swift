// Objects as the API server prints them: keys we do not read are ignored, those we read are checked.
internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// A pod that ended, has no address, or shares its node's is no endpoint; one that terminates still is.
func decodePod(
    _ object: Cursor, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector
) -> Finding? {
    let spec = object["spec"]
    let status = object["status"]
    if let phase = status?["phase"]?.string(&diagnostics), phase == "Succeeded" || phase == "Failed" {
        return .skippedPod(\.finishedPods)
    }
    if spec?["hostNetwork"]?.boolean(&diagnostics) == true { return .skippedPod(\.hostNetworkPods) }

    var written = (status?["podIPs"]?.list(&diagnostics) ?? []).compactMap { $0["ip"] }
    if written.isEmpty, let single = status?["podIP"] { written = [single] }
    // Go prints a pod without an address as an empty string.
    written = written.filter { !$0.isEmptyText }
    guard !written.isEmpty else { return .skippedPod(\.podsWithoutAddress) }
    let addresses = checkOnePerFamily(written.compactMap { decodeAddress($0, &diagnostics) }, &diagnostics)

    var node = Cursor.Text(text: "", location: object.location)
    if let name = spec?["nodeName"], let text = name.string(&diagnostics) {
        node = Cursor.Text(text: text, location: name.location)
    }
    return .endpoint(
        EndpointDraft(
            namespace: metadata.namespace ?? "", name: metadata.name, node: node, addresses: addresses,
            labels: metadata.labelDictionary.filter { !isDerivedLabel($0.key) },
            serviceAccount: decodeServiceAccount(spec, &diagnostics),
            ports: decodeContainerPorts(spec?["containers"], &diagnostics), attachment: .byAddress,
            isAudited: metadata.isAudited(&diagnostics), location: metadata.location, isOurs: false))
}

/// "default" where the pod names none.
func decodeServiceAccount(_ spec: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> String {
    let written = (spec?["serviceAccountName"] ?? spec?["serviceAccount"])?.string(&diagnostics)
    return written.flatMap { $0.isEmpty ? nil : $0 } ?? "default"
}

/// Where two containers use one name for one protocol, the first counts.
func decodeContainerPorts(
    _ containers: Cursor?, _ diagnostics: inout DiagnosticsCollector
) -> [NamedPort] {
    var ports: [NamedPort] = []
    for container in containers?.list(&diagnostics) ?? [] {
        for port in container["ports"]?.list(&diagnostics) ?? [] {
            guard let name = port["name"]?.string(&diagnostics), !name.isEmpty,
                let number = port["containerPort"].flatMap({ decodePortNumber($0, &diagnostics) }),
                let `protocol` = decodePortProtocol(port["protocol"], &diagnostics)
            else { continue }
            let named = NamedPort(name: name.lowercased(), protocol: `protocol`, port: number)
            if !ports.contains(where: { $0.name == named.name && $0.protocol == named.protocol }) {
                ports.append(named)
            }
        }
    }
    return ports
}

func decodeNode(_ object: Cursor, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector) -> NodeDraft {
    let spec = object["spec"]
    var podCIDRs = decodePodCIDRs(spec?["podCIDRs"], &diagnostics)
    if let single = spec?["podCIDR"], let prefix = decodePodCIDR(single, &diagnostics) { podCIDRs.append(prefix) }
    let addresses = decodeTypedAddresses(
        object["status"]?["addresses"], key: "address", types: ["InternalIP", "ExternalIP"], &diagnostics)
    return NodeDraft(
        name: metadata.name, labels: metadata.labelDictionary, addresses: addresses.map(\.address),
        podCIDRs: podCIDRs, isKubeAPIServer: false, internalAddresses: internalAddresses(addresses),
        wireGuard: decodeKeys(object, &diagnostics), location: metadata.location, isSupplement: false)
}

func decodeCiliumNode(
    _ object: Cursor, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector
) -> NodeDraft {
    let spec = object["spec"]
    let addresses = decodeTypedAddresses(
        spec?["addresses"], key: "ip", types: ["InternalIP", "ExternalIP", "CiliumInternalIP"], &diagnostics)
    return NodeDraft(
        name: metadata.name, labels: metadata.labelDictionary, addresses: addresses.map(\.address),
        podCIDRs: decodePodCIDRs(spec?["ipam"]?["podCIDRs"], &diagnostics)
            + decodePodCIDRs(spec?["podCIDRs"], &diagnostics),
        isKubeAPIServer: false, internalAddresses: internalAddresses(addresses),
        wireGuard: decodeKeys(object, &diagnostics), location: metadata.location, isSupplement: true)
}

/// Annotations: the key in use is where Cilium publishes it for its peers.
private func decodeKeys(_ object: Cursor, _ diagnostics: inout DiagnosticsCollector) -> WireGuardDraft {
    let annotations = object["metadata"]?["annotations"]
    func key(_ name: String) -> Cursor.Text? {
        guard let written = annotations?[name], let text = written.string(&diagnostics), !text.isEmpty else {
            return nil
        }
        return Cursor.Text(text: text, location: written.location)
    }
    return WireGuardDraft(
        publicKey: key("network.cilium.io/wg-pub-key"), nextPublicKey: key("weir.dev/next-wg-public-key"))
}

private typealias TypedAddress = (type: String, address: LocatedAddress)

private func internalAddresses(_ addresses: [TypedAddress]) -> [IPAddress] {
    addresses.filter { $0.type == "InternalIP" }.map(\.address.address)
}

/// Names of the node (`Hostname`, `InternalDNS`) stand in the same list.
private func decodeTypedAddresses(
    _ list: Cursor?, key: String, types: [String], _ diagnostics: inout DiagnosticsCollector
) -> [TypedAddress] {
    (list?.list(&diagnostics) ?? []).compactMap { entry in
        guard let type = entry["type"]?.string(&diagnostics), types.contains(type), let address = entry[key] else {
            return nil
        }
        return decodeAddress(address, &diagnostics).map { (type, $0) }
    }
}
