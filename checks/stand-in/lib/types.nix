# Option types: what a value may be, and how several definitions become one.
{ lib }:
let
  fail = loc: message: throw "The option `${builtins.concatStringsSep "." loc}' ${message}";

  # One definition, or several equal ones.
  equal =
    loc: definitions:
    let
      values = map (definition: definition.value) definitions;
      first = builtins.head values;
    in
    if builtins.length values == 1 || builtins.all (value: value == first) values then
      first
    else
      fail loc "has conflicting definition values: ${builtins.toJSON values}";

  one =
    loc: definitions:
    if builtins.length definitions == 1 then
      (builtins.head definitions).value
    else
      fail loc "is defined multiple times while it's expected to be unique.";

  type =
    name: description: check:
    more:
    {
      _type = "option-type";
      inherit name description check;
      merge = equal;
      descriptionClass = "noun";
      getSubOptions = _: { };
    }
    // more;

  plain = name: description: check: type name description check { };

  # The elements of a collection are options of the element type.
  element =
    elementType: loc: definitions:
    (lib.mergeDefinitions loc elementType definitions).mergedValue;

  show = value: if builtins.isString value then "\"${value}\"" else toString value;

  # A type's description inside another's: in parentheses unless its class is one of those that read well there.
  phrase =
    classes: inner: if builtins.elem inner.descriptionClass classes then inner.description else "(${inner.description})";

  bounded =
    low: high:
    plain "intBetween" "integer between ${toString low} and ${toString high} (both inclusive)" (
      value: builtins.isInt value && value >= low && value <= high
    );
in
rec {
  str = plain "str" "string" builtins.isString;
  bool = plain "bool" "boolean" builtins.isBool;
  int = plain "int" "signed integer" builtins.isInt;
  port = bounded 0 65535 // {
    description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)";
  };
  ints = {
    between = bounded;
    positive = plain "positiveInt" "positive integer, meaning >0" (value: builtins.isInt value && value > 0) // {
      descriptionClass = "nonRestrictiveClause";
    };
    unsigned = plain "unsignedInt" "unsigned integer, meaning >=0" (value: builtins.isInt value && value >= 0) // {
      descriptionClass = "nonRestrictiveClause";
    };
  };
  numbers = {
    positive =
      plain "numberPositive" "positive integer or floating point number, meaning >0" (
        value: (builtins.isInt value || builtins.isFloat value) && value > 0
      )
      // {
        descriptionClass = "nonRestrictiveClause";
      };
  };
  path = plain "path" "absolute path" (
    value: builtins.isPath value || (builtins.isString value && lib.hasPrefix "/" value) || value ? outPath
  );
  package = plain "package" "package" (value: (value.type or null) == "derivation" || value ? outPath);
  raw = type "raw" "raw value" (_: true) { merge = one; };
  unspecified = type "unspecified" "unspecified value" (_: true) { merge = one; };
  attrs = type "attrs" "attribute set" builtins.isAttrs {
    descriptionClass = null;
    merge = _: builtins.foldl' (merged: definition: merged // definition.value) { };
  };
  lines = type "separatedString" "strings concatenated with \"\\n\"" builtins.isString {
    merge = _: definitions: builtins.concatStringsSep "\n" (map (definition: definition.value) definitions);
  };
  strMatching =
    pattern:
    plain "strMatching ${builtins.toJSON pattern}" "string matching the pattern ${pattern}" (
      value: builtins.isString value && builtins.match pattern value != null
    );
  enum =
    values:
    type "enum" "one of ${lib.concatMapStringsSep ", " show values}" (value: builtins.elem value values) {
      descriptionClass = "conjunction";
    };
  nullOr =
    inner:
    type "nullOr" "null or ${phrase [ "noun" "conjunction" ] inner}" (value: value == null || inner.check value) {
      descriptionClass = "conjunction";
      inherit (inner) getSubOptions;
      nestedTypes.elemType = inner;
      merge =
        loc: definitions:
        if builtins.all (definition: definition.value == null) definitions then
          null
        else if builtins.any (definition: definition.value == null) definitions then
          fail loc "is defined both null and not null."
        else
          inner.merge loc definitions;
    };
  either =
    left: right:
    type "either" "${phrase [ "noun" "conjunction" ] left} or ${phrase [ "noun" "conjunction" "composite" ] right}" (
      value: left.check value || right.check value
    ) {
      descriptionClass = "conjunction";
      merge =
        loc: definitions:
        if builtins.all (definition: left.check definition.value) definitions then
          left.merge loc definitions
        else
          right.merge loc definitions;
    };
  oneOf = list: builtins.foldl' either (builtins.head list) (builtins.tail list);
  listOf =
    inner:
    type "listOf" "list of ${phrase [ "noun" "composite" ] inner}" builtins.isList {
      descriptionClass = "composite";
      getSubOptions = prefix: inner.getSubOptions (prefix ++ [ "*" ]);
      nestedTypes.elemType = inner;
      merge =
        loc: definitions:
        builtins.concatMap (
          definition:
          lib.imap0 (
            index: value:
            element inner (loc ++ [ "[definition ${toString (index + 1)}-entry]" ]) [ (definition // { inherit value; }) ]
          ) definition.value
        ) definitions;
    };
  attrsOf =
    inner:
    type "attrsOf" "attribute set of ${phrase [ "noun" "composite" ] inner}" builtins.isAttrs {
      descriptionClass = "composite";
      getSubOptions = prefix: inner.getSubOptions (prefix ++ [ "<name>" ]);
      merge =
        loc: definitions:
        let
          names = lib.unique (builtins.concatMap (definition: builtins.attrNames definition.value) definitions);
          of =
            name:
            element inner (loc ++ [ name ]) (
              builtins.concatMap (
                definition:
                lib.optional (definition.value ? ${name}) (definition // { value = definition.value.${name}; })
              ) definitions
            );
        in
        lib.genAttrs names of;
    };
  anything = type "anything" "anything" (_: true) {
    merge =
      loc: definitions:
      if builtins.all (definition: builtins.isAttrs definition.value && !(definition.value ? outPath)) definitions then
        (attrsOf anything).merge loc definitions
      else
        equal loc definitions;
  };
  submodule =
    modules:
    let
      evaluate =
        name: prefix: definitions:
        lib.evalModules {
          modules = lib.flatten [ modules ] ++ definitions;
          specialArgs = { inherit name; };
          inherit prefix;
        };
    in
    type "submodule" "submodule" (value: builtins.isAttrs value || builtins.isFunction value || builtins.isPath value) {
      descriptionClass = null;
      getSubOptions = prefix: (evaluate "‹name›" prefix [ ]).options;
      merge = loc: definitions: (evaluate (lib.last loc) loc (map (definition: definition.value) definitions)).config;
    };
}
