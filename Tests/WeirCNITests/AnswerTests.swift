import Testing
import WeirCNI
import WeirModel

/// What a runtime gets for what it asks, word by word.
@Suite("A plugin's answers")
struct AnswerTests {
    struct Golden: CustomTestStringConvertible {
        var testDescription: String
        var operation: String
        var configuration: String
        var output: String
        var status: Int32 = 0
    }

    static let success: [Golden] = [
        Golden(
            testDescription: "ADD of 0.4.0 hands the result on", operation: "ADD",
            configuration: Bench.configuration("0.4.0", previous: Bench.result040), output: Bench.result040),
        Golden(
            testDescription: "ADD of 1.0.0 hands on keys it does not know and numbers as they are", operation: "ADD",
            configuration: Bench.configuration("1.0.0", previous: Bench.result100),
            output: Bench.result100.replacing("\\u00e9", with: "é")),
        Golden(
            testDescription: "ADD of 1.1.0 hands the result on", operation: "ADD",
            configuration: Bench.configuration("1.1.0", previous: Bench.result110), output: Bench.result110),
        Golden(
            testDescription: "a result of 1.0.0 in a chain of 1.1.0 says 1.1.0", operation: "ADD",
            configuration: Bench.configuration("1.1.0", previous: Bench.result100),
            output: Bench.result100.replacing("1.0.0", with: "1.1.0").replacing("\\u00e9", with: "é")),
        Golden(
            testDescription: "a result without a version says the configuration's", operation: "ADD",
            configuration: Bench.configuration("1.0.0", previous: "{\"ips\":[{\"address\":\"10.1.0.5/24\"}]}"),
            output: "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.1.0.5/24\"}]}"),
        Golden(
            testDescription: "DEL says nothing", operation: "DEL",
            configuration: Bench.configuration("1.0.0", previous: Bench.result100), output: ""),
        Golden(
            testDescription: "GC says nothing", operation: "GC",
            configuration: Bench.configuration("1.1.0", "\"cni.dev/valid-attachments\":[]"), output: ""),
        Golden(
            testDescription: "STATUS says nothing", operation: "STATUS", configuration: Bench.configuration("1.1.0"),
            output: ""),
        Golden(
            testDescription: "CHECK that is disabled says nothing", operation: "CHECK",
            configuration: Bench.configuration("0.4.0", "\"disableCheck\":true"), output: ""),
        Golden(
            testDescription: "VERSION says what is spoken", operation: "VERSION",
            configuration: "{\"cniVersion\":\"1.0.0\"}",
            output: #"{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"#),
        Golden(
            testDescription: "VERSION answers in a version that is not spoken, too", operation: "VERSION",
            configuration: "{\"cniVersion\":\"0.2.0\"}",
            output: #"{"cniVersion":"0.2.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"#),
        Golden(
            testDescription: "VERSION needs no configuration", operation: "VERSION", configuration: "",
            output: #"{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"#),
    ]

    static let failures: [Golden] = [
        Golden(
            testDescription: "a version that is not spoken is 1", operation: "ADD",
            configuration: Bench.configuration("0.3.1"),
            output: #"{"cniVersion":"1.1.0","code":1,"msg":"the configuration is of CNI version '0.3.1'","#
                + #""details":"cniVersion may be 0.4.0, 1.0.0, 1.1.0"}"#),
        Golden(
            testDescription: "GC before 1.1.0 is 1", operation: "GC", configuration: Bench.configuration("1.0.0"),
            output:
                #"{"cniVersion":"1.0.0","code":1,"msg":"CNI version 1.0.0 has no GC","details":"cniVersion must be 1.1.0 or later"}"#
        ),
        Golden(
            testDescription: "work for the plugin before is 2, with key and value", operation: "ADD",
            configuration: Bench.configuration(
                "1.0.0", "\"ipam\":{\"type\":\"host-local\"}", previous: Bench.result100),
            output:
                #"{"cniVersion":"1.0.0","code":2,"msg":"the configuration of weir has ipam {\"type\":\"host-local\"}","#
                + #""details":"weir gives no addresses; it belongs to the plugin before it in the chain"}"#),
        Golden(
            testDescription: "CHECK of what was never added is 3", operation: "CHECK",
            configuration: Bench.configuration("0.4.0", previous: Bench.result040),
            output: #"{"cniVersion":"0.4.0","code":3,"msg":"eth0 of container c1 in network pods is not registered","#
                + #""details":"it was added before weir was in the chain, or was deleted; weir endpoint list has what is known"}"#
        ),
        Golden(
            testDescription: "an operation that does not exist is 4", operation: "RENEW", configuration: "",
            output: #"{"cniVersion":"1.1.0","code":4,"msg":"CNI_COMMAND is 'RENEW'","#
                + #""details":"it may be ADD, DEL, CHECK, GC, STATUS, VERSION"}"#),
        Golden(
            testDescription: "what is not JSON is 6, with the place", operation: "ADD", configuration: "{\"name\":}",
            output: #"{"cniVersion":"1.1.0","code":6,"msg":"the configuration on standard input is not JSON: "#
                + #"unexpected character at byte 9","details":"the runtime makes it from a file in its CNI configuration directory"}"#
        ),
        Golden(
            testDescription: "weir at the head of a chain is 7", operation: "ADD",
            configuration: Bench.configuration("1.0.0"),
            output: #"{"cniVersion":"1.0.0","code":7,"msg":"the configuration has no prevResult","#
                + #""details":"weir is chained: list it after the plugin that makes the interface"}"#),
        Golden(
            testDescription: "a container without an address is 101", operation: "ADD",
            configuration: Bench.configuration("1.0.0", previous: "{}"),
            output: #"{"cniVersion":"1.0.0","code":101,"msg":"prevResult gives eth0 of the container no address","#
                + #""details":"weir tells pods by their addresses: put a plugin before it that gives one"}"#),
    ].map {
        var golden = $0
        golden.status = 1
        return golden
    }

    @Test("An answer is this text", arguments: success + failures)
    func golden(_ golden: Golden) {
        let answer = Bench().run(golden.operation, golden.configuration)
        #expect(answer.text == golden.output)
        #expect(answer.status == golden.status)
        #expect(answer.remarks.isEmpty)
    }

    // MARK: Errors that a node is needed for

    private static let add = Bench.configuration("1.0.0", previous: Bench.result100)

    @Test("Standard input that cannot be read is 5")
    func input() {
        let answer = Bench().plugin.answer(environment: ["CNI_COMMAND": "STATUS"]) {
            throw CNIError(.ioFailure, "cannot read")
        }
        #expect(answer.code == 5)
    }

    @Test("A registry that is busy is 11, and a node that refuses 102")
    func refused() {
        let bench = Bench()
        let busy = Plugin(defaults: Settings(pinPath: "/p", stateDirectory: "/s"), surroundings: bench.surroundings) {
            _ in
            throw CNIError(.tryAgainLater, "locked")
        }
        let environment = Bench.place.merging(["CNI_COMMAND": "ADD"]) { $1 }
        #expect(busy.answer(environment: environment) { Array(Self.add.utf8) }.code == 11)
        bench.registry.faultAt = 0
        let answer = bench.run("ADD", Self.add)
        #expect(answer.code == 102)
        #expect(answer.message == "register failed")
        #expect(answer.status == 1)
    }

    @Test("STATUS is 50 where a pod could not come, and 51 where those that are there suffer, too")
    func status() {
        let bench = Bench()
        _ = bench.run("ADD", Self.add)
        bench.registry.notReady = "no policy was ever applied"
        let alone = bench.run("STATUS", Bench.configuration("1.1.0"))
        #expect(alone.code == 50)
        #expect(alone.message == "no policy was ever applied")
        bench.registry.broken = Set(bench.registry.known.map(\.key))
        let suffering = bench.run("STATUS", Bench.configuration("1.1.0"))
        #expect(suffering.code == 51)
        #expect(suffering.message == "no policy was ever applied; shop/api not as registered")
        let other = bench.run("STATUS", Bench.configuration("1.1.0").replacing("pods", with: "others"))
        #expect(other.code == 50)
    }

    @Test("An interface without a host side is 100, and nothing is registered")
    func macvlan() {
        let bench = Bench()
        bench.surroundings.side = .failure(CNIError(.noHostSide, "'eth0' is macvlan, which has no host side"))
        let answer = bench.run("ADD", Self.add)
        #expect(answer.code == 100)
        #expect(bench.registry.known.isEmpty)
    }

    @Test("CHECK is 103 where the attachment is another one or not in force")
    func check() {
        let bench = Bench()
        #expect(bench.run("ADD", Self.add).status == 0)
        #expect(bench.run("CHECK", Self.add) == Plugin.Answer())
        let moved = bench.run("CHECK", Self.add.replacing("10.1.0.5", with: "10.1.0.6"))
        #expect(moved.code == 103)
        #expect(
            moved.message == "eth0 of container c1 in network pods has the address 10.1.0.6 and fd01::5, "
                + "and was registered with 10.1.0.5 and fd01::5")
        bench.registry.broken = Set(bench.registry.known.map(\.key))
        let broken = bench.run("CHECK", Self.add)
        #expect(broken.code == 103)
        #expect(broken.message.hasSuffix("is not in force: the program at its egress hook is missing"))
        bench.surroundings.side = .success(HostSide(name: "veth1", index: 8))
        let renewed = bench.run("CHECK", Self.add)
        #expect(renewed.code == 103)
        #expect(renewed.message.contains("has the host side veth1 (8), and was registered with veth1 (7)"))
    }

    @Test("These are the codes; one more needs a test in this suite")
    func codes() {
        #expect(
            CNIError.Code.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 6, 7, 11, 50, 51, 100, 101, 102, 103])
    }
}
