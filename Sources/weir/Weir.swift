import ArgumentParser
@main struct Weir: ParsableCommand {}
