import WeirCNI
import WeirModel

/// A plugin with a faked node, and runtimes' ways of calling it.
struct Bench {
    let registry = FakeRegistry()
    let surroundings = FakeSurroundings()

    var plugin: Plugin {
        Plugin(
            defaults: Settings(pinPath: "/pins", stateDirectory: "/state"), surroundings: surroundings,
            registry: { [registry] _ in registry })
    }

    static let place = ["CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/run/netns/c1"]
    static let pod = ["CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=api;K8S_POD_UID=9"]

    static let result040 = """
        {"cniVersion":"0.4.0","interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"/run/netns/c1"}],\
        "ips":[{"version":"4","interface":1,"address":"10.1.0.5/24","gateway":"10.1.0.1"}],"dns":{}}
        """
    static let result100 = """
        {"cniVersion":"1.0.0","interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"/run/netns/c1"}],\
        "ips":[{"interface":1,"address":"10.1.0.5/24","gateway":"10.1.0.1"},{"interface":1,"address":"fd01::5/64"}],\
        "dns":{},"vendor":{"number":1.50e2,"text":"\\u00e9"}}
        """
    static let result110 = """
        {"cniVersion":"1.1.0","interfaces":[{"name":"veth1","mtu":1500},{"name":"eth0","mtu":1500,"sandbox":"/run/netns/c1"}],\
        "ips":[{"address":"10.1.0.5/24"}],"routes":[{"dst":"0.0.0.0/0","priority":100}]}
        """

    /// A configuration with these members beside name and type.
    static func configuration(_ version: String, _ members: String = "", previous: String? = nil) -> String {
        "{\"cniVersion\":\"\(version)\",\"name\":\"pods\",\"type\":\"weir\""
            + (members.isEmpty ? "" : ",\(members)") + (previous.map { ",\"prevResult\":\($0)" } ?? "") + "}"
    }

    func run(
        _ operation: String, _ configuration: String, _ environment: [String: String] = place.merging(pod) { $1 }
    ) -> Plugin.Answer {
        plugin.answer(environment: environment.merging(["CNI_COMMAND": operation]) { $1 }) { Array(configuration.utf8) }
    }
}

extension Plugin.Answer {
    /// Of an error; nil where there is none.
    var code: Int? { output?["code"]?.integer }
    var text: String { output.map(\.description) ?? "" }
    var message: String { output?["msg"]?.string ?? "" }
}
