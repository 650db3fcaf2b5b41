# The module system: options, definitions with priorities and conditions, and their fixed point.
{ lib }:
let
  dotted = builtins.concatStringsSep ".";

  # A path, a function or an attribute set, as { file, imports, options, config }.
  normalise =
    args: module:
    let
      isFile = builtins.isPath module || builtins.isString module;
      loaded = if isFile then import module else module;
      body = if builtins.isFunction loaded then loaded args else loaded;
      explicit = body ? config || body ? options;
      extra = builtins.removeAttrs body [
        "_file"
        "key"
        "imports"
        "disabledModules"
        "options"
        "config"
        "meta"
      ];
    in
    if explicit && extra != { } then
      throw "Module `${toString (body._file or module)}' has an unsupported attribute `${builtins.head (builtins.attrNames extra)}'."
    else
      {
        file = body._file or (if isFile then toString module else "<unknown-file>");
        imports = body.imports or [ ];
        options = body.options or { };
        config = if explicit then body.config or { } else extra;
      };

  collect =
    args: modules:
    builtins.concatMap (
      module:
      let
        own = normalise args module;
      in
      [ own ] ++ collect args own.imports
    ) modules;

  # mkIf, mkMerge and mkOverride around a set of definitions, moved onto its attributes.
  pushDown =
    value:
    if lib.isType "merge" value then
      builtins.concatMap pushDown value.contents
    else if lib.isType "if" value then
      map (builtins.mapAttrs (_: lib.mkIf value.condition)) (pushDown value.content)
    else if lib.isType "override" value then
      map (builtins.mapAttrs (_: lib.mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];

  # The same around the definition of one option: a list of { value, priority }.
  discharge =
    value:
    if lib.isType "merge" value then
      builtins.concatMap discharge value.contents
    else if lib.isType "if" value then
      lib.optionals value.condition (discharge value.content)
    else if lib.isType "override" value then
      map (definition: definition // { inherit (value) priority; }) (discharge value.content)
    else
      [
        {
          inherit value;
          priority = 100;
        }
      ];

  isOption = lib.isType "option";

  mergeDeclarations =
    loc: declarations:
    let
      names = lib.unique (builtins.concatMap (declaration: builtins.attrNames declaration.options) declarations);
      of =
        name:
        let
          here = loc ++ [ name ];
          declaring = builtins.filter (declaration: declaration.options ? ${name}) declarations;
          found = map (declaration: declaration.options.${name}) declaring;
        in
        if builtins.all isOption found then
          if builtins.length found == 1 then
            builtins.head found
            // {
              loc = here;
              declarations = map (declaration: declaration.file) declaring;
            }
          else
            throw "The option `${dotted here}' is already declared."
        else if builtins.any isOption found then
          throw "The option `${dotted here}' is a prefix of other options."
        else
          mergeDeclarations here (
            map (declaration: declaration // { options = declaration.options.${name}; }) declaring
          );
    in
    lib.genAttrs names of;

  # Every option of a tree with its value, and the values alone, from the definitions at its place, { file, value } each.
  evaluate =
    loc: options: definitions:
    let
      pushed = builtins.concatMap (
        definition: map (value: definition // { inherit value; }) (pushDown definition.value)
      ) definitions;
      defined = lib.unique (builtins.concatMap (definition: builtins.attrNames definition.value) pushed);
      unknown = builtins.filter (name: !(options ? ${name}) && name != "_module") defined;
      of =
        name: option:
        let
          here = loc ++ [ name ];
          own = builtins.concatMap (
            definition:
            lib.optional (definition.value ? ${name}) (definition // { value = definition.value.${name}; })
          ) pushed;
        in
        if isOption option then evaluateOption here option own else evaluate here option own;
      evaluated = builtins.mapAttrs of options;
    in
    {
      options = builtins.mapAttrs (_: found: found.options) evaluated;
      config =
        if unknown != [ ] then
          throw "The option `${dotted (loc ++ [ (builtins.head unknown) ])}' does not exist."
        else
          builtins.mapAttrs (_: found: found.config) evaluated;
    };

  evaluateOption =
    loc: option: definitions:
    let
      set = builtins.concatMap (definition: discharge definition.value) definitions;
      default = lib.optional (option ? default) {
        value = option.default;
        priority = 1500;
      };
      merged = lib.mergeDefinitions loc (option.type or lib.types.unspecified) (definitions ++ map (d: { value = lib.mkOverride 1500 d.value; }) default);
      value =
        if (option.readOnly or false) && builtins.length set > 1 then
          throw "The option `${dotted loc}' is read-only, but it's set multiple times."
        else
          (option.apply or lib.id) merged.mergedValue;
    in
    {
      config = value;
      options = option // {
        inherit value;
        inherit (merged.defsFinal') highestPrio;
        definitionsWithLocations = merged.defsFinal;
      };
    };
in
{
  mkOption = attributes: attributes // { _type = "option"; };
  mkEnableOption =
    what:
    lib.mkOption {
      type = lib.types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = lib.mkOverride 1500;
  mkDefault = lib.mkOverride 1000;
  mkForce = lib.mkOverride 50;
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  mdDoc = lib.id;

  # One option's value from definitions { value, file? } that may carry conditions and priorities.
  mergeDefinitions =
    loc: type: definitions:
    let
      set = builtins.concatMap (
        definition: map (found: definition // found) (discharge definition.value)
      ) definitions;
      strongest = builtins.foldl' (found: definition: lib.min found definition.priority) 9999 set;
      chosen = builtins.filter (definition: definition.priority == strongest) set;
      wrong = builtins.filter (definition: !type.check definition.value) chosen;
    in
    {
      defsFinal = chosen;
      defsFinal'.highestPrio = strongest;
      mergedValue =
        if set == [ ] then
          throw "The option `${dotted loc}' was accessed but has no value defined. Try setting the option."
        else if wrong != [ ] then
          throw "A definition for option `${dotted loc}' is not of type `${type.description}'."
        else
          type.merge loc chosen;
    };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      ...
    }:
    let
      args = {
        inherit lib;
        inherit (result) config options;
      }
      // specialArgs;
      all = collect args modules;
      evaluated = evaluate prefix (mergeDeclarations prefix all) definitions;
      definitions = map (module: {
        inherit (module) file;
        value = module.config;
      }) all;
      # _module.args of any module are arguments of all: read lazily, through the fixed point.
      result = {
        inherit (evaluated) config options;
        graph = map (_: { disabled = false; }) modules; # disabledModules does nothing here
        _type = "configuration";
      };
    in
    result;
}
