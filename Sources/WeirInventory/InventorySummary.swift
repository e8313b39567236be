package import WeirModel

/// What was read of an inventory and what was not, in words.
package struct InventorySummary {
    package struct Line: Hashable, Sendable {
        package var subject: String
        package var text: String
    }

    /// Subjects repeat where there are several things to say; nothing is said of what there is none of.
    package let lines: [Line]

    /// - Parameter otherKinds: documents of other kinds, counted.
    package init(_ inventory: Inventory, otherKinds: [String: Int]) {
        var lines: [Line] = []
        func say(_ subject: String, _ text: String) { lines.append(Line(subject: subject, text: text)) }
        let skipped = inventory.skipped
        say(
            "endpoints",
            "\(inventory.endpoints.count) in \(Self.count(Set(inventory.endpoints.map(\.namespace)).count, "namespace"))"
        )
        say("nodes", "\(inventory.nodes.count)")
        let backends = inventory.services.reduce(0) { $0 + $1.ports.reduce(0) { $0 + $1.backends.count } }
        say("services", "\(inventory.services.count) with \(Self.count(backends, "backend"))")
        if !inventory.kubeAPIServerAddresses.isEmpty {
            say("API server", inventory.kubeAPIServerAddresses.map(\.description).joined(separator: ", "))
        }
        for (number, pod, reason) in [
            (skipped.finishedPods, "finished pod", ""),
            (skipped.hostNetworkPods, "host-network pod", ": policy sees their node"),
            (skipped.podsWithoutAddress, "pod", " without an address"),
        ] where number > 0 {
            say("skipped", Self.count(number, pod) + reason)
        }
        if skipped.otherDocuments > 0 {
            let kinds = otherKinds.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
            say("skipped", "\(Self.count(skipped.otherDocuments, "other document")): \(Self.list(kinds))")
        }
        let nobody = inventory.services.filter { $0.ports.contains { $0.backends.isEmpty } }.map(\.qualifiedName)
        if !nobody.isEmpty {
            say(
                "no backend",
                "\(Self.count(nobody.count, "service")) with a port that nobody serves: \(Self.list(nobody))")
        }
        let missing = inventory.nodes.filter { $0.addresses.isEmpty }.map(\.name)
        if !missing.isEmpty { say("no address", "\(Self.count(missing.count, "node")): \(Self.list(missing))") }
        self.lines = lines
    }

    private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    /// The first five.
    private static func list(_ names: [String]) -> String {
        names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
    }
}
