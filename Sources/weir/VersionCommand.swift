import ArgumentParser
import WeirABI
import WeirImage
import WeirKernel

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the versions of weir, its ABI, its programs and libbpf.",
        discussion: "Example: weir version --output json")

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(help: "Format: table or json.")
    var output = Format.table

    struct Report: Encodable {
        var weir = Weir.version
        var abi = Int(WEIR_ABI_VERSION)
        var imageFormat = Int(Image.formatVersion)
        var object = PrebuiltObject.digest
        var libbpf = PrebuiltObject.libbpfVersion
    }

    func run() throws {
        let report = Report()
        switch output {
        case .json: print(try json(report), terminator: "")
        case .table:
            print(
                table(
                    ["WEIR", "ABI", "IMAGE", "OBJECT", "LIBBPF"],
                    [
                        [
                            report.weir, "\(report.abi)", "\(report.imageFormat)", String(report.object.prefix(12)),
                            report.libbpf,
                        ]
                    ]), terminator: "")
        }
    }
}

extension Weir {
    static let version = "0.1.0"
}
