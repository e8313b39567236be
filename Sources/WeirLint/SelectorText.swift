internal import WeirModel

extension LabelSelector {
    /// `app=web, tier!=back, k8s:io.kubernetes.pod.namespace=shop`; for the scope of every pod `{}`.
    var text: String {
        let anyPod = requirements.filter { !($0.key.name == WellKnownLabel.namespace && $0.operator == .exists) }
        return anyPod.isEmpty ? "{}" : anyPod.map(\.text).joined(separator: ", ")
    }
}

extension LabelSelector.Requirement {
    var text: String {
        let list = values.joined(separator: ", ")
        return switch `operator` {
        case .in: values.count == 1 ? (list.isEmpty ? "\(key)" : "\(key)=\(list)") : "\(key) in (\(list))"
        case .notIn: values.count == 1 ? "\(key)!=\(list)" : "\(key) not in (\(list))"
        case .exists: "\(key)"
        case .doesNotExist: "!\(key)"
        }
    }
}

extension CIDRBlock {
    /// `10.0.0.0/8 except 10.1.0.0/16, 10.2.0.0/16`
    var text: String {
        except.isEmpty ? "\(prefix)" : "\(prefix) except \(except.map(\.description).joined(separator: ", "))"
    }
}

/// `a, b, c and 5 more`.
func list(_ names: [String], limit: Int = 3) -> String {
    names.prefix(limit).joined(separator: ", ") + (names.count > limit ? " and \(names.count - limit) more" : "")
}
