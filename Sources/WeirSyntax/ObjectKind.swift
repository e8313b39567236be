/// What a document is to weir. Policies and inventory may lie in one file that is given to both
/// flags, so each side knows the other's kinds and passes over them.
package enum ObjectKind: Hashable, Sendable {
    package enum Policy: String, Hashable, Sendable, CaseIterable {
        case ciliumNetworkPolicy = "CiliumNetworkPolicy"
        case ciliumClusterwideNetworkPolicy = "CiliumClusterwideNetworkPolicy"
        case ciliumCIDRGroup = "CiliumCIDRGroup"
        case networkPolicy = "NetworkPolicy"
        case adminNetworkPolicy = "AdminNetworkPolicy"
        case baselineAdminNetworkPolicy = "BaselineAdminNetworkPolicy"
        case clusterNetworkPolicy = "ClusterNetworkPolicy"
    }

    package enum Inventory: String, Hashable, Sendable, CaseIterable {
        case pod, namespace, node, service, endpointSlice, ciliumNode
        case weirEndpoint, weirKubeAPIServer, weirNamespace, weirNode, weirService
    }

    case policy(Policy)
    case inventory(Inventory)
    /// What policies are meant to do, for `weir test`. Everybody else passes over it.
    case expectations
    /// An API group that weir has nothing to do with.
    case foreign
    /// No kind of a group whose objects decide about traffic; says why, with the nearest known kind.
    case unknown(reason: String)

    private struct Known {
        var group: String
        var kind: String
        var versions: [String]
        var meaning: ObjectKind
    }

    private static let known: [Known] = [
        Known(
            group: "cilium.io", kind: "CiliumNetworkPolicy", versions: ["v2"], meaning: .policy(.ciliumNetworkPolicy)),
        Known(
            group: "cilium.io", kind: "CiliumClusterwideNetworkPolicy", versions: ["v2"],
            meaning: .policy(.ciliumClusterwideNetworkPolicy)),
        Known(
            group: "cilium.io", kind: "CiliumCIDRGroup", versions: ["v2", "v2alpha1"],
            meaning: .policy(.ciliumCIDRGroup)),
        Known(group: "cilium.io", kind: "CiliumNode", versions: ["v2"], meaning: .inventory(.ciliumNode)),
        Known(group: "networking.k8s.io", kind: "NetworkPolicy", versions: ["v1"], meaning: .policy(.networkPolicy)),
        Known(group: "networking.k8s.io", kind: "Ingress", versions: ["v1"], meaning: .foreign),
        Known(group: "networking.k8s.io", kind: "IngressClass", versions: ["v1"], meaning: .foreign),
        Known(
            group: "policy.networking.k8s.io", kind: "AdminNetworkPolicy", versions: ["v1alpha1"],
            meaning: .policy(.adminNetworkPolicy)),
        Known(
            group: "policy.networking.k8s.io", kind: "BaselineAdminNetworkPolicy", versions: ["v1alpha1"],
            meaning: .policy(.baselineAdminNetworkPolicy)),
        Known(
            group: "policy.networking.k8s.io", kind: "ClusterNetworkPolicy", versions: ["v1alpha2", "v1beta1"],
            meaning: .policy(.clusterNetworkPolicy)),
        Known(group: "weir.dev", kind: "Endpoint", versions: ["v1"], meaning: .inventory(.weirEndpoint)),
        Known(group: "weir.dev", kind: "Expectations", versions: ["v1"], meaning: .expectations),
        Known(group: "weir.dev", kind: "KubeAPIServer", versions: ["v1"], meaning: .inventory(.weirKubeAPIServer)),
        Known(group: "weir.dev", kind: "Namespace", versions: ["v1"], meaning: .inventory(.weirNamespace)),
        Known(group: "weir.dev", kind: "Node", versions: ["v1"], meaning: .inventory(.weirNode)),
        Known(group: "weir.dev", kind: "Service", versions: ["v1"], meaning: .inventory(.weirService)),
        Known(group: "", kind: "Pod", versions: ["v1"], meaning: .inventory(.pod)),
        Known(group: "", kind: "Namespace", versions: ["v1"], meaning: .inventory(.namespace)),
        Known(group: "", kind: "Node", versions: ["v1"], meaning: .inventory(.node)),
        Known(group: "", kind: "Service", versions: ["v1"], meaning: .inventory(.service)),
        Known(
            group: "discovery.k8s.io", kind: "EndpointSlice", versions: ["v1"], meaning: .inventory(.endpointSlice)),
    ]

    /// Groups in which a kind that we do not know may be a policy that we would silently not enforce.
    private static let closedGroups = ["cilium.io", "networking.k8s.io", "policy.networking.k8s.io", "weir.dev"]

    package init(of document: Document) {
        let group = document.group
        let kind = document.kind
        if let known = Self.known.first(where: { $0.group == group && $0.kind == kind }) {
            if known.versions.contains(document.version) || known.meaning == .foreign {
                self = known.meaning
            } else {
                let versions = known.versions.map { group.isEmpty ? $0 : "\(group)/\($0)" }
                self = .unknown(
                    reason: "\(kind) is read in \(versions.joined(separator: " and ")), not in \(document.apiVersion)")
            }
            return
        }
        guard Self.closedGroups.contains(group) else {
            self = .foreign
            return
        }
        var reason = "\(group) has no kind \(kind) that weir knows"
        let siblings = Self.known.filter { $0.group == group }.map(\.kind)
        if let nearest = nearestName(to: kind, among: siblings) { reason += "; did you mean \(nearest)?" }
        self = .unknown(reason: reason)
    }
}
