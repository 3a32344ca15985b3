//! Python, Node.js, Ruby, Java, .NET and PHP.

use super::*;

const SITE: &str = "usr/lib/python3.11/site-packages";

/// A distribution with a list of its files, one with none, and another.
fn python() -> Case {
    let record = "flask/__init__.py,sha256=x,1\nflask/app.py,,\n../../../bin/flask,,\n\
                  flask-3.dist-info/METADATA,,\nflask-3.dist-info/RECORD,,\n";
    let site = |name: &str| format!("{SITE}/{name}");
    Case::new()
        .files(&["usr/bin/flask"])
        .files(&[&site("flask/__init__.py"), &site("flask/app.py"), &site("six.py")])
        .files(&[&site("flask/__pycache__/app.cpython-311.pyc"), &site("other/__init__.py")])
        .files(&[&site("flask-3.dist-info/METADATA"), &site("flask-3.dist-info/entry_points.txt")])
        .file(&site("flask-3.dist-info/RECORD"), record)
        .file(&site("six-1.egg-info/top_level.txt"), "six\n")
        .files(&[&site("six-1.egg-info/PKG-INFO"), &site("other-1.dist-info/METADATA")])
        .file(&site("other-1.dist-info/RECORD"), "other/__init__.py,,\n")
}

fn site(name: &str) -> String {
    format!("/{SITE}/{name}")
}

#[test]
fn python_metadata_of_a_touched_module_is_kept() {
    let flask = [
        site("flask-3.dist-info/METADATA"),
        site("flask-3.dist-info/entry_points.txt"),
        site("flask-3.dist-info/RECORD"),
    ];
    let flask: Vec<&str> = flask.iter().map(String::as_str).collect();
    let six = site("six-1.egg-info/PKG-INFO");
    let other = site("other-1.dist-info/METADATA");
    for touched in [
        site("flask/app.py"),
        site("flask/__pycache__/app.cpython-311.pyc"),
        "/usr/bin/flask".into(),
    ] {
        python().touch(&touched).kept().by(Rule::Python, &flask).not(&[&six, &other]);
    }
    python().touch(&site("six.py")).kept().by(Rule::Python, &[&six]).not(&flask);
}

#[test]
fn a_compiled_python_module_keeps_its_source_and_its_package() {
    python()
        .touch(&site("flask/__pycache__/app.cpython-311.pyc"))
        .kept()
        .by(Rule::Python, &[&site("flask/app.py"), &site("flask/__init__.py")])
        .not(&["/usr/bin/flask"]);
}

#[test]
fn whole_python_distributions_are_kept_on_demand() {
    python()
        .whole_distributions()
        .touch(&site("flask/__init__.py"))
        .kept()
        .by(Rule::Python, &[&site("flask/app.py"), "/usr/bin/flask"])
        .not(&[&site("six.py"), &site("other/__init__.py")]);
}

#[test]
fn codecs_are_kept_but_for_the_tables_of_old_code_pages() {
    let library = "usr/lib/python3.11";
    let path = |name: &str| format!("/{library}/{name}");
    let mut case = Case::new().touch(&path("encodings/__init__.py"));
    for name in ["codecs.py", "stringprep.py", "encodings/__init__.py", "encodings/idna.py"] {
        case = case.files(&[&format!("{library}/{name}")]);
    }
    for name in ["cp437", "cp720", "mac_roman", "shift_jis"] {
        case = case.files(&[&format!("{library}/encodings/{name}.py")]);
    }
    case.kept()
        .by(Rule::Python, &[&path("encodings/idna.py"), &path("stringprep.py")])
        .by(Rule::Python, &[&path("encodings/cp437.py"), &path("encodings/shift_jis.py")])
        .not(&[&path("encodings/cp720.py"), &path("encodings/mac_roman.py"), &path("codecs.py")]);
}

fn node() -> Case {
    Case::new()
        .files(&["srv/app/package.json", "srv/app/src/main.js", "srv/package.json"])
        .files(&["srv/app/node_modules/a/package.json", "srv/app/node_modules/a/late.js"])
        .files(&["srv/app/node_modules/a/dist/package.json", "srv/app/node_modules/a/dist/i.mjs"])
        .files(&["srv/app/node_modules/a/node_modules/b/package.json"])
        .files(&["srv/app/node_modules/@s/c/package.json", "srv/app/node_modules/@s/c/x.node"])
}

#[test]
fn node_packages_keep_their_manifests_up_to_their_roots() {
    let app = ["/srv/app/package.json", "/srv/package.json"];
    let a = ["/srv/app/node_modules/a/package.json", "/srv/app/node_modules/a/dist/package.json"];
    let c = ["/srv/app/node_modules/@s/c/package.json"];
    let touched = |path: &str| node().touch(path).kept();
    touched("/srv/app/src/main.js").by(Rule::Node, &app).not(&a).not(&c);
    touched("/srv/app/node_modules/a/dist/i.mjs")
        .by(Rule::Node, &a)
        .not(&app)
        .not(&["/srv/app/node_modules/a/late.js"]);
    touched("/srv/app/node_modules/@s/c/x.node").by(Rule::Node, &c).not(&a);
}

#[test]
fn whole_node_packages_are_kept_on_demand() {
    node()
        .whole_distributions()
        .touch("/srv/app/node_modules/a/dist/i.mjs")
        .kept()
        .by(Rule::Node, &["/srv/app/node_modules/a/late.js"])
        .not(&["/srv/app/node_modules/a/node_modules/b/package.json", "/srv/app/src/main.js"]);
}

fn ruby() -> Case {
    let home = "var/lib/gems/3.1.0";
    let path = |name: &str| format!("{home}/{name}");
    Case::new()
        .files(&[&path("gems/rack-3.0/lib/rack.rb"), &path("gems/rack-3.0/lib/rack/late.rb")])
        .files(&[&path("specifications/rack-3.0.gemspec"), &path("specifications/puma-6.gemspec")])
        .files(&[&path("extensions/x86_64-linux/3.1.0/rack-3.0/gem.build_complete")])
        .files(&["usr/lib/ruby/vendor_ruby/rake/task.rb"])
        .files(&["usr/share/rubygems-integration/all/specifications/rake-13.0.gemspec"])
        .files(&["usr/share/rubygems-integration/all/specifications/rake-compiler-1.gemspec"])
}

#[test]
fn ruby_gems_keep_their_specifications() {
    let home = "/var/lib/gems/3.1.0";
    ruby()
        .touch(&format!("{home}/gems/rack-3.0/lib/rack.rb"))
        .touch("/usr/lib/ruby/vendor_ruby/rake/task.rb")
        .kept()
        .by(Rule::Ruby, &[&format!("{home}/specifications/rack-3.0.gemspec")])
        .by(
            Rule::Ruby,
            &[&format!("{home}/extensions/x86_64-linux/3.1.0/rack-3.0/gem.build_complete")],
        )
        .by(Rule::Ruby, &["/usr/share/rubygems-integration/all/specifications/rake-13.0.gemspec"])
        .not(&["/usr/share/rubygems-integration/all/specifications/rake-compiler-1.gemspec"])
        .not(&[
            &format!("{home}/specifications/puma-6.gemspec"),
            &format!("{home}/gems/rack-3.0/lib/rack/late.rb"),
        ]);
    ruby()
        .whole_distributions()
        .touch(&format!("{home}/gems/rack-3.0/lib/rack.rb"))
        .kept()
        .by(Rule::Ruby, &[&format!("{home}/gems/rack-3.0/lib/rack/late.rb")]);
}

#[test]
fn a_java_machine_keeps_its_native_libraries_and_settings() {
    let java = || {
        Case::new()
            .library("opt/jdk/lib/server/libjvm.so")
            .library("opt/jdk/lib/libjava.so")
            .library("opt/jdk/lib/libnio.so")
            .library("opt/jdk/lib/libawt.so")
            .library("opt/jdk/lib/libjsound.so")
            .library("opt/jdk/lib/libfontmanager.so")
            .library("opt/jdk/lib/libjdwp.so")
            .files(&["opt/jdk/lib/modules", "opt/jdk/lib/tzdb.dat", "opt/jdk/lib/ct.sym"])
            .files(&["opt/jdk/conf/security/java.security", "etc/ssl/certs/java/cacerts"])
            .link("opt/jdk/lib/security/cacerts", "/etc/ssl/certs/java/cacerts")
            .link("opt/jdk/conf/net.properties", "/etc/java/net.properties")
            .files(&["etc/else", "etc/java/net.properties", "etc/java/17/policy/unlimited.policy"])
            .link("opt/jdk/conf/policy", "/etc/java/17/policy")
            .link("opt/jdk/conf/odd", "/etc")
            .touch("/opt/jdk/lib/server/libjvm.so")
    };
    let kept = java().kept();
    kept.by(Rule::Jvm, &["/opt/jdk/lib/libjava.so", "/opt/jdk/lib/libnio.so"])
        .by(Rule::Jvm, &["/opt/jdk/lib/modules", "/opt/jdk/lib/tzdb.dat"])
        .by(Rule::Jvm, &["/opt/jdk/conf/security/java.security", "/etc/java/net.properties"])
        .by(Rule::Jvm, &["/etc/ssl/certs/java/cacerts", "/etc/java/17/policy/unlimited.policy"])
        .not(&["/etc/else"])
        .by(Rule::Jvm, &["/opt/jdk/lib/libawt.so"])
        .not(&["/opt/jdk/lib/libfontmanager.so", "/opt/jdk/lib/libjsound.so"])
        .not(&["/opt/jdk/lib/libjdwp.so", "/opt/jdk/lib/ct.sym"]);
    java()
        .touch("/opt/jdk/lib/libawt.so")
        .kept()
        .by(Rule::Jvm, &["/opt/jdk/lib/libfontmanager.so"])
        .not(&["/opt/jdk/lib/libjdwp.so", "/opt/jdk/lib/libjsound.so"]);
    Case::new()
        .library("opt/jdk/jre/lib/amd64/server/libjvm.so")
        .library("opt/jdk/jre/lib/amd64/libnio.so")
        .files(&["opt/jdk/jre/lib/amd64/jvm.cfg", "opt/jdk/jre/lib/rt.jar"])
        .touch("/opt/jdk/jre/lib/amd64/server/libjvm.so")
        .kept()
        .by(Rule::Jvm, &["/opt/jdk/jre/lib/amd64/libnio.so", "/opt/jdk/jre/lib/rt.jar"])
        .by(Rule::Jvm, &["/opt/jdk/jre/lib/amd64/jvm.cfg"]);
}

#[test]
fn a_dotnet_assembly_keeps_what_its_host_reads() {
    Case::new()
        .files(&["app/a.dll", "app/a.deps.json", "app/a.runtimeconfig.json", "app/b.dll"])
        .touch("/app/a.dll")
        .kept()
        .by(Rule::Dotnet, &["/app/a.deps.json", "/app/a.runtimeconfig.json"])
        .not(&["/app/b.dll"]);
}

#[test]
fn a_php_extension_keeps_the_settings_of_every_server_interface() {
    let conf = "/etc/php/8.2/mods-available/curl.ini";
    Case::new()
        .library("usr/lib/php/20220829/curl.so")
        .link("etc/php/8.2/cli/conf.d/20-curl.ini", conf)
        .link("etc/php/8.2/fpm/conf.d/20-curl.ini", conf)
        .files(&[&conf[1..], "etc/php/8.2/fpm/conf.d/20-gd.ini"])
        .files(&[
            "usr/local/etc/php/conf.d/docker-php-ext-curl.ini",
            "etc/php82/conf.d/00_curl.ini",
        ])
        .touch("/usr/lib/php/20220829/curl.so")
        .kept()
        .by(Rule::Link, &["/etc/php/8.2/cli/conf.d/20-curl.ini"])
        .by(Rule::Link, &["/etc/php/8.2/fpm/conf.d/20-curl.ini"])
        .by(Rule::Php, &[conf, "/usr/local/etc/php/conf.d/docker-php-ext-curl.ini"])
        .by(Rule::Php, &["/etc/php82/conf.d/00_curl.ini"])
        .not(&["/etc/php/8.2/fpm/conf.d/20-gd.ini"]);
}

#[test]
fn a_ruby_keeps_common_encodings() {
    let directory = "/usr/lib/ruby/3.1.0/enc";
    let path = |name: &str| format!("{directory}/{name}");
    let mut case = Case::new().touch(&path("encdb.so"));
    for name in ["encdb.so", "utf_16le.so", "shift_jis.so", "trans/single_byte.so"] {
        case = case.library(&path(name)[1..]);
    }
    case.kept()
        .by(Rule::Ruby, &[&path("utf_16le.so"), &path("trans/single_byte.so")])
        .not(&[&path("shift_jis.so")]);
}
