# A tiny pkgs: files and scripts that Nix really builds with /bin/sh, and programs as links to the host's /usr.
# hyperhive itself is a package of real contents.
{
  lib,
  system ? "x86_64-linux",
  # This directory as the package set that a test's host builds its guests with (see nixos/host.nix).
  path ? "/stand-in/for/nixpkgs",
}:
let
  build =
    name: environment: script:
    derivation (
      environment
      // {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-euc"
          "export PATH=/usr/bin:/bin\n${script}"
        ];
      }
    );

  links =
    name: programs:
    build name { inherit programs; } "mkdir -p $out/bin; for p in $programs; do ln -s /usr/bin/$p $out/bin/$p; done";

  program = name: links name [ name ];

  # tree NAME { "etc/x" = { text | source | link, executable ? }; }: a directory of these, as one derivation.
  tree =
    name: files:
    let
      variable = index: "file${toString index}";
      place =
        index: path: file:
        "mkdir -p \"$out/${dirOf path}\"; "
        + (
          if file ? text then
            "printf %s \"\$${variable index}\" > \"$out/${path}\""
          else
            "ln -s \"${file.link or file.source}\" \"$out/${path}\""
        )
        + lib.optionalString (file.executable or false) "; chmod +x \"$out/${path}\"";
      paths = builtins.attrNames files;
    in
    build name
      (builtins.listToAttrs (
        lib.imap0 (index: path: lib.nameValuePair (variable index) (files.${path}.text or "")) paths
      ))
      (
        builtins.concatStringsSep "\n" (
          [ "mkdir $out" ] ++ lib.imap0 (index: path: place index path files.${path}) paths
        )
      );

  writeShellScript =
    name: text:
    build name { text = "#!/usr/bin/bash\n${text}"; } ''
      printf %s "$text" > $out
      chmod +x $out
    '';

  hyperhive = import ./hyperhive.nix { inherit lib build; };
in
{
  inherit
    lib
    links
    path
    system
    tree
    writeShellScript
    ;
  runCommand = build;
  runtimeShell = "/usr/bin/bash";
  writeText = name: text: build name { inherit text; } ''printf %s "$text" > $out'';
  writeScript =
    name: text:
    build name { inherit text; } ''
      printf %s "$text" > $out
      chmod +x $out
    '';
  callPackage = _: _: hyperhive;
  claude-code = program "claude";
  bash = links "bash" [
    "bash"
    "sh"
  ];
  bubblewrap = program "bwrap";
  coreutils = import ./coreutils.nix links;
  curl = program "curl";
  findutils = links "findutils" [
    "find"
    "xargs"
  ];
  git = program "git";
  gnugrep = program "grep";
  gnused = program "sed";
  gzip = program "gzip";
  iproute2 = program "ip";
  nix = links "nix" [
    "nix"
    "nix-build"
    "nix-collect-garbage"
    "nix-daemon"
    "nix-env"
    "nix-instantiate"
    "nix-store"
  ];
  ripgrep = program "rg";
  shfmt = program "shfmt";
  socat = program "socat";
  # Debian 12 has a systemd that is older than any NixOS' now.
  systemd =
    build "systemd"
      {
        run = ./systemd-run.sh;
        programs = [
          "busctl"
          "journalctl"
          "machinectl"
          "systemctl"
          "systemd-cat"
          "systemd-notify"
          "systemd-nspawn"
          "systemd-tmpfiles"
        ];
      }
      ''
        mkdir -p $out/bin
        for p in $programs; do ln -s /usr/bin/$p $out/bin/$p; done
        if systemd-run --help | grep -q expand-environment; then
          ln -s /usr/bin/systemd-run $out/bin/systemd-run
        else
          cp $run $out/bin/systemd-run
          chmod +x $out/bin/systemd-run
        fi
      '';
  util-linux = links "util-linux" [
    "flock"
    "mount"
    "nsenter"
    "prlimit"
    "setpriv"
    "setsid"
    "umount"
    "unshare"
  ];
  nixfmt = program "nixfmt";
  nixfmt-tree = program "treefmt";
  testers.runNixOSTest = test: build "vm-test-${test.name}" { inherit (test) testScript; } "printf %s \"$testScript\" > $out";
  mkShell = { packages }: build "shell" { inherit packages; } "echo $packages > $out";
  python3 = program "python3" // {
    withPackages = choose: program "python3";
  };
  python3Packages.numpy = program "python3";
}
