# users { lib } CONFIG: CONFIG.users.{users,groups} as /etc/passwd and /etc/group, for a guest that has nothing else,
# and as lines of sysusers.d(5), for a host that has users already.
{ lib }:
config:
let
  inherit (config.users) users groups;

  # Those that the units of Debian's systemd, D-Bus and tmpfiles.d look for.
  system = {
    adm = 4;
    disk = 6;
    kmem = 15;
    messagebus = 101;
    nogroup = 65534;
    root = 0;
    shadow = 42;
    systemd-journal = 999;
    tty = 5;
    users = 100;
    utmp = 43;
  };

  systemUsers = {
    messagebus = "101:101";
    nobody = "65534:65534";
  };

  allGroups = system // builtins.mapAttrs (name: group: group.gid or (throw "guest: group ${name} has no gid")) groups;

  groupOf = user: if user ? group then user.group else "users";

  members =
    group: builtins.filter (name: builtins.elem group (users.${name}.extraGroups or [ ])) (builtins.attrNames users);

  home = name: user: user.home or (if user.isNormalUser or false then "/home/${name}" else "/var/empty");

  shell = user: user.shell or (if user.isNormalUser or false then "/bin/bash" else "/usr/sbin/nologin");

  passwdLine =
    name: user:
    builtins.concatStringsSep ":" [
      name
      "x"
      (toString user.uid)
      (toString allGroups.${groupOf user})
      ""
      (home name user)
      (toString (shell user))
    ];

  dash = value: if value == null then "-" else toString value;

  sysuser =
    name: user:
    builtins.concatStringsSep " " [
      "u ${name}"
      "${dash (user.uid or null)}:${groupOf user}"
      "\"${user.description or ""}\""
      (home name user)
      (toString (shell user))
    ];

  lines = texts: lib.concatStrings (map (text: "${text}\n") texts);
in
{
  passwd = lines (
    [ "root:x:0:0:root:/root:/bin/bash" ]
    ++ lib.mapAttrsToList (name: ids: "${name}:x:${ids}::/nonexistent:/usr/sbin/nologin") systemUsers
    ++ lib.mapAttrsToList passwdLine users
  );

  group = lines (
    lib.mapAttrsToList (
      name: gid: "${name}:x:${toString gid}:${builtins.concatStringsSep "," (members name)}"
    ) allGroups
  );

  sysusers = lines (
    lib.mapAttrsToList (name: group: "g ${name} ${dash (group.gid or null)}") groups
    ++ lib.mapAttrsToList sysuser users
    ++ lib.flatten (lib.mapAttrsToList (name: user: map (group: "m ${name} ${group}") (user.extraGroups or [ ])) users)
  );
}
