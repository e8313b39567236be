import Foundation
import Testing
import WeirTestSupport

@Suite("weir cni")
struct CNITests {
    private static func ask(
        _ environment: [String: String], _ input: String = "", _ arguments: [String] = ["cni"]
    ) async throws -> Outcome {
        try await Weir.run(arguments, input: input, environment: environment)
    }

    // MARK: Without a node

    @Test("It is a plugin as a command, and without arguments where CNI_COMMAND is set", arguments: [["cni"], []])
    func entry(_ arguments: [String]) async throws {
        let outcome = try await Self.ask(["CNI_COMMAND": "VERSION"], "{\"cniVersion\":\"1.0.0\"}", arguments)
        #expect(outcome.status == 0)
        #expect(outcome.output == "{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n")
        #expect(outcome.errors.isEmpty)
    }

    @Test("CNI_COMMAND makes no plugin of other commands")
    func otherCommands() async throws {
        let outcome = try await Self.ask(["CNI_COMMAND": "VERSION"], "", ["version"])
        #expect(outcome.output.hasPrefix("WEIR "))
    }

    @Test(
        "An error is JSON on standard output with status 1, whatever weir's own variables say",
        arguments: [
            (["CNI_COMMAND": ""], "", 4), (["CNI_COMMAND": "ADD"], "", 4), (["CNI_COMMAND": "STATUS"], "{", 6),
            (["CNI_COMMAND": "STATUS"], "{\"cniVersion\":\"9\"}", 1),
            (["CNI_COMMAND": "STATUS"], "{\"cniVersion\":\"1.1.0\"}", 7),
            (
                ["CNI_COMMAND": "STATUS", "WEIR_PIN_PATH": "x"],
                "{\"cniVersion\":\"1.1.0\",\"name\":\"a\",\"type\":\"weir\"}", 7
            ),
        ])
    func errors(_ environment: [String: String], _ input: String, _ code: Int) async throws {
        for arguments in [["cni"], []] {
            let hostile = ["WEIR_TIMEOUT": "never", "WEIR_OUTPUT": "xml", "WEIR_MAX_INPUT_BYTES": "1"]
            let outcome = try await Self.ask(environment.merging(hostile) { $1 }, input, arguments)
            #expect(outcome.status == 1)
            #expect(outcome.object?["code"] as? Int == code)
            #expect(outcome.lines.count == 1)
            #expect(outcome.errors.isEmpty)
        }
    }

    @Test("A configuration that cannot be read is 5")
    func unreadable() async throws {
        let outcome = try await Weir.script("CNI_COMMAND=STATUS $weir cni < /")
        #expect(outcome.status == 1)
        #expect(outcome.object?["code"] as? Int == 5)
    }

    @Test("The driver of these tests runs plugins as CNI's library does")
    func driver() async throws {
        let workspace = try Workspace()
        let plugin = """
            #!/bin/bash
            input=$(cat)
            echo "$0 $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS $input" | sed 's,.*/bin/,,' >>"\(workspace.path)/log"
            [[ $CNI_COMMAND != ADD ]] || echo '{"cniVersion":"1.1.0","by":"'"${0##*/}"'"}'
            """
        for name in ["first", "second"] {
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: try workspace.write(plugin, to: "bin/\(name)"))
        }
        let runtime = CNIRuntime(
            configuration: """
                {"cniVersion": "1.1.0", "name": "net", "plugins": [
                  {"type": "first"}, {"type": "second", "capabilities": {"io.kubernetes.cri.pod-annotations": true}}]}
                """,
            path: ["\(workspace.path)/bin"], cache: try workspace.makeDirectory("results"), wrapper: [])
        let attachment = CNIRuntime.Attachment(
            container: "c1", namespacePath: "/n", arguments: ["B": "2", "A": "1"], annotations: ["x": "y"])
        #expect(try await runtime.add(attachment)["by"] as? String == "second")
        try await runtime.check(attachment)
        try await runtime.status()
        try await runtime.collectGarbage(keeping: [attachment], of: [attachment])
        try await runtime.delete(attachment)
        #expect(runtime.kept(attachment) == nil)
        let lines = try workspace.contents("log").split(separator: "\n").map(String.init)
        let calls = lines.map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        #expect(
            calls == [
                "first ADD", "second ADD", "first CHECK", "second CHECK", "first STATUS", "second STATUS", "first GC",
                "second GC", "second DEL", "first DEL",
            ])
        #expect(lines[0].hasPrefix("first ADD c1 eth0 /n A=1;B=2 {"))
        let inputs = lines.map { Outcome.object(String($0.drop { $0 != "{" })) ?? [:] }
        #expect(inputs.allSatisfy { $0["name"] as? String == "net" && $0["cniVersion"] as? String == "1.1.0" })
        let previous = inputs.map { ($0["prevResult"] as? [String: Any])?["by"] as? String }
        #expect(previous == [nil, "first", "second", "second", nil, nil, nil, nil, "second", "second"])
        #expect(inputs[0]["runtimeConfig"] == nil && inputs[1]["runtimeConfig"] != nil)
        #expect(
            (inputs[6]["cni.dev/valid-attachments"] as? [[String: String]])?.first == [
                "containerID": "c1", "ifname": "eth0",
            ])
    }
}

/// With plugins of Debian's, in namespaces.
@Suite("weir cni in a chain", .serialized, .enabled(if: KernelRequirement.isMet))
struct CNIChainTests {
    private static let everybody = """
        {apiVersion: weir.dev/v1, kind: Node, metadata: {name: n}, spec: {addresses: [10.66.0.1, "fd66::1"], podCIDRs: [10.66.0.0/24, "fd66::/64"]}}
        ---
        {apiVersion: weir.dev/v1, kind: Namespace, metadata: {name: shop}}
        """
    /// Pods of app web take what comes from app client; all others take nothing.
    private static let policies = """
        {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop},
         spec: {podSelector: {}, policyTypes: [Ingress], ingress: []}}
        ---
        {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: clients, namespace: shop},
         spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress],
                ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}}
        """

    private static func apply(_ node: CNINode) async throws {
        let workspace = node.workspace
        let outcome = try await node.weir([
            "apply", "--policies", try workspace.write(policies, to: "policies.yaml"), "--inventory",
            try workspace.write(everybody, to: "inventory.yaml"), "--node", "n",
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    @Test(
        "Debian's plugins alone connect two containers: what the tests below stand on",
        arguments: [CNINode.Main.bridge, .ptp])
    func plain(_ main: CNINode.Main) async throws {
        try await CNINode.use(main, weir: nil) { node in
            let attachments = try (0..<2).map { try node.attachment($0) }
            let results = [try await node.runtime.add(attachments[0]), try await node.runtime.add(attachments[1])]
            #expect(results.map(\.addresses.count) == [2, 2])
            #expect(try await node.reaches(0, "10.66.0.1"))
            for attachment in attachments {
                try await node.runtime.check(attachment)
                try await node.runtime.delete(attachment)
            }
            #expect(try await !node.reaches(0, "10.66.0.1"))
        }
    }

    @Test("macvlan cannot be protected: ADD fails, and says what it is")
    func macvlan() async throws {
        try await CNINode.use(.macvlan) { node in
            let error = await #expect(throws: CNIRuntime.Failure.self) {
                try await node.runtime.add(try node.attachment(0, name: "web", labels: ["app": "web"]))
            }
            #expect(error?.plugin == "ADD weir-cni")
            #expect(error?.code == 100)
            #expect(error?.message.contains("is macvlan, which has no host side") == true)
        }
    }

    @Test(
        "ADD hands the main plugin's result on, CHECK holds, DEL leaves nothing; twice each",
        arguments: [CNINode.Main.bridge, .ptp], ["0.4.0", "1.0.0"])
    func life(_ main: CNINode.Main, _ version: String) async throws {
        try await CNINode.use(main, version: version) { node in
            try await Self.apply(node)
            let web = try node.attachment(0, name: "web", labels: ["app": "web"])
            for _ in 0..<2 {
                let result = try await node.runtime.add(web)
                #expect(result["cniVersion"] as? String == version)
                #expect(result.addresses.count == 2)
                #expect((result["interfaces"] as? [Any])?.count ?? 0 >= 2)
                try await node.runtime.check(web)
                #expect(try await node.traces().count == 3)
                try await node.runtime.delete(web)
                try await node.runtime.delete(web)
                #expect(try await node.traces().isEmpty)
            }
        }
    }

    @Test("A pod is judged by its labels as soon as it is added", arguments: [CNINode.Main.bridge, .ptp])
    func judged(_ main: CNINode.Main) async throws {
        try await CNINode.use(main, containers: 3) { node in
            try await Self.apply(node)
            let web = try await node.runtime.add(try node.attachment(0, name: "web", labels: ["app": "web"]))
            try await node.runtime.add(try node.attachment(1, name: "client", labels: ["app": "client"]))
            try await node.runtime.add(try node.attachment(2, name: "other", labels: ["app": "other"]))
            let address = try #require(web.addresses.first { $0.contains(".") })
            #expect(try await node.reaches(1, address))
            #expect(try await !node.reaches(2, address))
        }
    }

    @Test("A pod of which nobody says labels is added, denied everything and listed")
    func unlabelled() async throws {
        try await CNINode.use(.bridge) { node in
            try await Self.apply(node)
            try await node.runtime.add(try node.attachment(0, name: "stranger"))
            #expect(try await !node.reaches(0, "10.66.0.1"))
            let status = try await node.weir(["status"])
            #expect(status.output.contains("shop/stranger"))
        }
    }

    @Test("A pod of a namespace that the inventory does not have is denied, whatever its labels")
    func unknownNamespace() async throws {
        try await CNINode.use(.ptp) { node in
            try await Self.apply(node)
            var pod = try node.attachment(0, name: "web", labels: ["app": "web"])
            pod.arguments["K8S_POD_NAMESPACE"] = "nowhere"
            try await node.runtime.add(pod)
            try await node.runtime.check(pod)
            #expect(try await !node.reaches(0, "10.66.0.1"))
            let status = try await node.weir(["status"])
            #expect(status.output.contains("the inventory does not know namespace 'nowhere'"))
        }
    }

    @Test("A container that vanished without DEL is collected, and DEL without its namespace is done")
    func vanished() async throws {
        try await CNINode.use(.ptp) { node in
            try await Self.apply(node)
            let pods = try (0..<2).map { try node.attachment($0, name: "web\($0)", labels: ["app": "web"]) }
            for pod in pods { try await node.runtime.add(pod) }
            try await Machine.shell("ip netns del \(node.containers[0])")
            var gone = pods[0]
            gone.namespacePath = ""
            try await node.runtime.delete(gone)
            try await node.runtime.check(pods[1])
            #expect(try await node.traces().count == 3)
        }
    }

    @Test("Pods that come and go at the same time leave nothing")
    func parallel() async throws {
        try await CNINode.use(.ptp, containers: 6) { node in
            try await Self.apply(node)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in node.containers.indices {
                    group.addTask {
                        let pod = try node.attachment(index, name: "web\(index)", labels: ["app": "web"])
                        for _ in 0..<3 {
                            try await node.runtime.add(pod)
                            try await node.runtime.delete(pod)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await node.traces().isEmpty)
        }
    }
}
