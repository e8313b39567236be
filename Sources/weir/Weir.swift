import ArgumentParser

@main
struct Weir: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "weir", abstract: "eBPF policy compiler and loader")
}
