import Testing
import WeirCNI
import WeirModel

/// What becomes of environment and configuration, and what is refused in them.
@Suite("What a runtime says")
struct RequestTests {
    private static let environment = Bench.place.merging(Bench.pod) { $1 }

    /// The registration that ADD makes.
    private func registered(
        _ members: String = "", _ environment: [String: String] = environment, version: String = "1.0.0",
        previous: String = Bench.result100, described: EndpointDescription? = nil
    ) throws -> Registration {
        let bench = Bench()
        bench.surroundings.described = .success(described)
        let answer = bench.run("ADD", Bench.configuration(version, members, previous: previous), environment)
        #expect(answer.status == 0, "\(answer.text)")
        return try #require(bench.registry.known.first)
    }

    private func refusal(
        _ members: String = "", _ environment: [String: String] = environment, previous: String = Bench.result100
    ) -> Plugin.Answer {
        let bench = Bench()
        let answer = bench.run("ADD", Bench.configuration("1.0.0", members, previous: previous), environment)
        #expect(bench.registry.calls.isEmpty, "the node was touched")
        return answer
    }

    // MARK: Names

    @Test("A pod has the name and namespace of CNI_ARGS; a container without is called by its ID")
    func names() throws {
        let pod = try registered()
        #expect(pod.qualifiedName == "shop/api")
        #expect(pod.key == .attachment(network: "pods", container: "c1", interface: "eth0"))
        #expect(pod.interface == "veth1" && pod.interfaceIndex == 7)
        #expect(try registered("", Bench.place).qualifiedName == "default/c1")
        #expect(try registered("\"namespace\":\"edge\"", Bench.place).qualifiedName == "edge/c1")
        #expect(
            try registered("\"namespace\":\"edge\"", Bench.place.merging(["CNI_ARGS": "K8S_POD_NAME=web"]) { $1 })
                .qualifiedName == "edge/web")
    }

    @Test(
        "A variable that is missing or not what it may be is 4, and names itself",
        arguments: [
            (["CNI_CONTAINERID": ""], "CNI_CONTAINERID is not set for ADD"),
            (["CNI_CONTAINERID": "", "CNI_NETNS": ""], "CNI_CONTAINERID, CNI_NETNS are not set for ADD"),
            (["CNI_CONTAINERID": "-c"], "CNI_CONTAINERID is '-c'"),
            (["CNI_CONTAINERID": "a/b"], "CNI_CONTAINERID is 'a/b'"),
            (["CNI_IFNAME": "sixteen-letters0"], "CNI_IFNAME is 'sixteen-letters0'"),
            (["CNI_IFNAME": ".."], "CNI_IFNAME is '..'"),
            (["CNI_IFNAME": "a b"], "CNI_IFNAME is 'a b'"),
            (["CNI_IFNAME": "a:b"], "CNI_IFNAME is 'a:b'"),
            (["CNI_NETNS": "run/netns/c1"], "CNI_NETNS is 'run/netns/c1'"),
            (["CNI_ARGS": "K8S_POD_NAME"], "'K8S_POD_NAME' in CNI_ARGS is no pair"),
            (["CNI_ARGS": "=x"], "'=x' in CNI_ARGS is no pair"),
            (["CNI_ARGS": "K8S_POD_NAME=a/b"], "K8S_POD_NAME in CNI_ARGS is 'a/b'"),
            (["CNI_ARGS": "K8S_POD_NAMESPACE=../x"], "K8S_POD_NAMESPACE in CNI_ARGS is '../x'"),
            (["CNI_ARGS": "IP=10.0.0.1;K8S_POD_NAME=a"], "CNI_ARGS has unknown keys: IP"),
            (["CNI_ARGS": "IgnoreUnknown=0;B=1;A=2"], "CNI_ARGS has unknown keys: A, B"),
            (["CNI_ARGS": "IgnoreUnknown=maybe"], "IgnoreUnknown in CNI_ARGS is 'maybe'"),
        ])
    func environmentRefusals(_ variables: [String: String], _ message: String) {
        let answer = refusal("", Self.environment.merging(variables) { $1 })
        #expect(answer.code == 4)
        #expect(answer.message == message)
    }

    // MARK: Labels

    private static let annotation =
        #""runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"weir.dev/labels":"{\"app\":\"api\",\"example.com/tier\":\"\"}"}}"#
    private static let listed = #""args":{"cni":{"labels":[{"key":"app","value":"web"}]}}"#

    @Test("Nobody says labels: nil. Somebody says none: none")
    func noLabels() throws {
        #expect(try registered().labels == nil)
        #expect(try registered(#""args":{"cni":{"labels":[]}}"#).labels == [:])
        #expect(
            try registered(#""runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"other":"x"}}"#).labels == nil)
    }

    @Test("Labels come from the inventory, else from args, else from the annotation")
    func sources() throws {
        let inventory = #""inventory":["/etc/weir/pods"]"#
        let described = EndpointDescription(
            labels: ["app": "db"], serviceAccount: "robot", ports: [NamedPort(name: "sql", protocol: .tcp, port: 5432)])
        #expect(try registered(Self.annotation).labels == ["app": "api", "example.com/tier": ""])
        #expect(try registered("\(Self.annotation),\(Self.listed)").labels == ["app": "web"])
        let all = try registered("\(Self.annotation),\(Self.listed),\(inventory)", described: described)
        #expect(all.labels == ["app": "db"])
        #expect(all.serviceAccount == "robot")
        #expect(all.ports?.map(\.name) == ["sql"])
        // The inventory has no such pod.
        #expect(try registered("\(Self.listed),\(inventory)").labels == ["app": "web"])
        // Nobody asked for it.
        #expect(try registered(Self.listed, described: described).labels == ["app": "web"])
    }

    @Test("An inventory is asked for the pod, with the paths of the configuration; where it cannot be read ADD fails")
    func inventory() {
        let bench = Bench()
        let configuration = Bench.configuration("1.0.0", #""inventory":["/a","/b"]"#, previous: Bench.result100)
        #expect(bench.run("ADD", configuration).status == 0)
        #expect(bench.surroundings.asked == ["eth0 in /run/netns/c1", "shop/api in /a /b"])
        bench.surroundings.described = .failure(CNIError(.ioFailure, "no such file"))
        #expect(bench.run("ADD", configuration).code == 5)
    }

    @Test(
        "Labels that no Kubernetes label may be, or that weir derives, are 7",
        arguments: [
            (#"[{"key":"app"}]"#, #"has {"key":"app"}"#), (#"{"app":"x"}"#, "is {"),
            (#"[{"key":"app","value":"a"},{"key":"app","value":"b"}]"#, "has 'app' twice"),
            (#"[{"key":"a b","value":""}]"#, "has the key 'a b'"),
            (#"[{"key":"Example.com/a","value":""}]"#, "has the key"),
            (#"[{"key":"a","value":"-"}]"#, "has 'a' with the value '-'"),
            (
                #"[{"key":"io.kubernetes.pod.namespace","value":"kube-system"}]"#,
                "has the key 'io.kubernetes.pod.namespace'"
            ),
            (#"[{"key":"io.cilium.k8s.policy.serviceaccount","value":"root"}]"#, "has the key 'io.cilium.k8s.policy."),
        ])
    func badLabels(_ list: String, _ message: String) {
        let answer = refusal(#""args":{"cni":{"labels":\#(list)}}"#)
        #expect(answer.code == 7)
        #expect(answer.message.hasPrefix("args.cni.labels in the configuration \(message)"))
    }

    @Test(
        "An annotation that is no object of labels is 7",
        arguments: [
            #""no json""#, #""[]""#, "7", #""{\"app\":1}""#, #""{\"a\":\"x\",\"a\":\"y\"}""#,
            #""{\"io.kubernetes.pod.namespace\":\"kube-system\"}""#, #""{\"a\":\"x y\"}""#,
        ])
    func badAnnotation(_ value: String) {
        let answer = refusal(
            #""runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"weir.dev/labels":\#(value)}}"#)
        #expect(answer.code == 7)
        #expect(answer.message.hasPrefix("the annotation weir.dev/labels in the configuration"))
    }

    // MARK: Settings

    @Test("Settings come from the configuration, else from the defaults; unknown keys are no concern of ours")
    func settings() {
        let bench = Bench()
        var seen: [Settings] = []
        let plugin = Plugin(
            defaults: Settings(pinPath: "/p", stateDirectory: "/s"), surroundings: bench.surroundings
        ) {
            seen.append($0)
            return bench.registry
        }
        for members in [
            "",
            #""pinPath":"/sys/fs/bpf/a","stateDir":"/var/lib/a","timeout":2.5,"inventory":"/i","namespace":"n","colour":[1]"#,
        ] {
            _ = plugin.answer(environment: ["CNI_COMMAND": "STATUS"]) {
                Array(Bench.configuration("1.1.0", members).utf8)
            }
        }
        #expect(
            seen == [
                Settings(pinPath: "/p", stateDirectory: "/s"),
                Settings(
                    pinPath: "/sys/fs/bpf/a", stateDirectory: "/var/lib/a", timeout: 2.5, inventory: ["/i"],
                    namespace: "n"),
            ])
    }

    @Test(
        "Settings that cannot be are 7",
        arguments: [
            #""pinPath":"weir""#, #""stateDir":7"#, #""timeout":-1"#, #""timeout":"10""#, #""timeout":1e9"#,
            #""inventory":["x"]"#, #""inventory":{}"#, #""namespace":"a/b""#, #""capabilities":[]"#,
        ])
    func badSettings(_ member: String) { #expect(refusal(member).code == 7) }

    @Test("A relative path in the runtime's environment is refused as one in the configuration is")
    func badDefaults() {
        let bench = Bench()
        let plugin = Plugin(
            defaults: Settings(pinPath: "relative", stateDirectory: "/s"), surroundings: bench.surroundings
        ) { _ in bench.registry }
        let answer = plugin.answer(environment: ["CNI_COMMAND": "STATUS"]) { Array(Bench.configuration("1.1.0").utf8) }
        #expect(answer.code == 7)
        #expect(answer.message == "pinPath is 'relative'")
    }

    @Test(
        "A configuration without what every plugin's has is 7",
        arguments: [
            #"{"cniVersion":"1.1.0","type":"weir"}"#, #"{"cniVersion":"1.1.0","name":"pods"}"#,
            #"{"cniVersion":"1.1.0","type":"weir","name":"a b"}"#,
            #"{"cniVersion":"1.1.0","type":"weir","name":["x"]}"#,
            #"{"cniVersion":1.1,"type":"weir","name":"pods"}"#,
        ])
    func badNames(_ configuration: String) { #expect(Bench().run("STATUS", configuration).code == 7) }

    // MARK: Addresses

    /// A result with these interfaces and addresses.
    private static func result(_ ips: String, interfaces: String? = nil) -> String {
        let own = #"{"name":"eth0"},{"name":"eth0","sandbox":"/n"},{"name":"net1","sandbox":"/n"}"#
        return "{\"cniVersion\":\"1.0.0\",\"interfaces\":[\(interfaces ?? own)],\"ips\":[\(ips)]}"
    }

    @Test(
        "Only addresses at the container's own interface count, and those that name none",
        arguments: [
            (#"{"address":"10.1.0.5/24","interface":1}"#, ["10.1.0.5"]),
            (#"{"address":"fd01::5/64"},{"address":"10.1.0.5/32"}"#, ["10.1.0.5", "fd01::5"]),
            (#"{"address":"10.1.0.5/24","interface":1},{"address":"10.2.0.5/24","interface":2}"#, ["10.1.0.5"]),
            (#"{"address":"10.1.0.1/24","interface":0},{"address":"10.1.0.5/24","interface":1}"#, ["10.1.0.5"]),
        ])
    func addresses(_ ips: String, _ expected: [String]) throws {
        let registration = try registered(previous: Self.result(ips))
        #expect(registration.addresses.map(\.description) == expected)
    }

    @Test("Addresses of 0.4.0 say their family, which must be theirs")
    func oldAddresses() throws {
        #expect(
            try registered(version: "0.4.0", previous: Bench.result040).addresses.map(\.description) == ["10.1.0.5"])
        let wrong = Bench.configuration(
            "0.4.0", previous: Bench.result040.replacing(#""version":"4""#, with: #""version":"6""#))
        #expect(Bench().run("ADD", wrong).code == 7)
    }

    @Test(
        "Addresses that weir cannot tell a pod by are 101",
        arguments: [
            "", #"{"address":"10.1.0.5/24","interface":2}"#, #"{"address":"10.1.0.5/24"},{"address":"10.1.0.6/24"}"#,
            #"{"address":"127.0.0.1/8"}"#, #"{"address":"224.0.0.1/4"}"#, #"{"address":"0.0.0.0/0"}"#,
            #"{"address":"::/0"}"#, #"{"address":"255.255.255.255/32"}"#,
        ])
    func unusable(_ ips: String) { #expect(refusal(previous: Self.result(ips)).code == 101) }

    @Test(
        "A result that is none is 7",
        arguments: [
            #"{"ips":{}}"#, #"{"ips":[7]}"#, #"{"ips":[{"address":"10.1.0.5"}]}"#,
            #"{"ips":[{"address":"10.1.0.5/33"}]}"#,
            #"{"ips":[{"address":"10.1.0.5/24","interface":0}]}"#,
            #"{"interfaces":[],"ips":[{"address":"::1/8","interface":-1}]}"#,
            #"{"interfaces":{},"ips":[{"address":"10.1.0.5/24"}]}"#,
            #"{"ips":[{"address":"10.1.0.5/24","interface":"0"}]}"#,
            "[]", "7",
        ])
    func noResult(_ previous: String) { #expect(refusal(previous: previous).code == 7) }

    @Test("A result in the other format is 1")
    func otherFormat() {
        #expect(refusal(previous: Bench.result040).code == 1)
        #expect(Bench().run("ADD", Bench.configuration("0.4.0", previous: Bench.result100)).code == 1)
        #expect(refusal(previous: #"{"cniVersion":"2.0.0"}"#).code == 1)
    }

    // MARK: Attachments

    @Test(
        "A GC whose list is missing or no list is 7, and unregisters nothing",
        arguments: [
            "", #""cni.dev/valid-attachments":{}"#, #""cni.dev/valid-attachments":[{"containerID":"c1"}]"#,
            #""cni.dev/valid-attachments":["c1"]"#,
        ])
    func badCollection(_ members: String) {
        let bench = Bench()
        #expect(bench.run("GC", Bench.configuration("1.1.0", members)).code == 7)
        #expect(bench.registry.calls.isEmpty)
    }
}
