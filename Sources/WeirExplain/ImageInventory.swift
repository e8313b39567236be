internal import WeirABI
internal import WeirDiagnostics
package import WeirImage
internal import WeirMaps
package import WeirModel

extension Inventory {
    /// What an image knows of the cluster, so that flows can be named: its own endpoints and node, and the addresses of
    /// other nodes.
    package init(of image: Image) {
        let place = SourceLocation(file: "image of \(image.node)")
        var nodeAddresses: [IPAddress] = []
        for entry in image.entries(.ipcache4) + image.entries(.ipcache6) {
            guard let peer = weir_peer(abiBytes: entry.value), peer.flags & WEIR_PEER_NODE.rawValue != 0,
                peer.flags & WEIR_PEER_OWN_NODE.rawValue == 0
            else { continue }
            if let address = IPAddress(bytes: entry.key) { nodeAddresses.append(address) }
        }
        self.init(
            endpoints: image.endpoints.filter { !$0.isHost }.map { record in
                let parts = record.name.split(separator: "/", maxSplits: 1).map(String.init)
                return Endpoint(
                    namespace: parts.first ?? "", name: parts.dropFirst().first ?? "", node: image.node,
                    addresses: record.addresses, labels: LabelSet([]), ports: [],
                    attachment: record.attachment ?? .byAddress, isAudited: record.isAudited, location: place)
            },
            nodes: [
                Node(
                    name: image.node, labels: [:], addresses: image.nodeAddresses, podCIDRs: [],
                    isKubeAPIServer: false, location: place)
            ]
                + nodeAddresses.map {
                    Node(
                        name: "\($0)", labels: [:], addresses: [$0], podCIDRs: [], isKubeAPIServer: false,
                        location: place)
                })
    }
}
