import ArgumentParser
import Foundation
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
    var output = Environment.value("OUTPUT", default: Format.table)

    struct Report: Encodable {
        var weir = Weir.version
        var abi = Int(WEIR_ABI_VERSION)
        var imageFormat = Int(Image.formatVersion)
        /// SHA-256 of the embedded datapath.
        var object: String
        var libbpf = EmbeddedObject.libbpfVersion
    }

    /// The part of the manifest that is printed.
    private struct Manifest: Decodable {
        struct Object: Decodable { var sha256: String }
        struct Objects: Decodable {
            var datapath: Object

            enum CodingKeys: String, CodingKey { case datapath = "weir.bpf.o" }
        }
        var objects: Objects
    }

    func run() throws {
        let manifest = try JSONDecoder().decode(Manifest.self, from: Data(EmbeddedObject.manifest.utf8))
        let report = Report(object: manifest.objects.datapath.sha256)
        try refusing { try Terminal.output(output == .json ? try json(report) : text(report)) }
    }

    private func text(_ report: Report) -> String {
        table(
            ["WEIR", "ABI", "IMAGE", "OBJECT", "LIBBPF"],
            [
                [
                    report.weir, "\(report.abi)", "\(report.imageFormat)", String(report.object.prefix(12)),
                    report.libbpf,
                ]
            ])
    }
}

extension Weir {
    static let version = "0.1.0"
}
