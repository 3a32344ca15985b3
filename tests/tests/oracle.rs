//! An independent observer saw no file or directory of the image that the
//! profile lacks, and no execution that the profile does not know as one.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use integration_tests::engine::{Image, docker, output};
use integration_tests::oracle::Gated;
use integration_tests::profile::Profile;
use integration_tests::program::Outcome;
use integration_tests::watch::Watch;
use integration_tests::{images, until};

/// An image's tree, as the engine exports it.
#[derive(Default)]
struct Tree {
    /// Everything in it, by path; the root is `/`.
    paths: BTreeSet<String>,
    /// Symlinks with their targets.
    links: BTreeMap<String, String>,
}

impl Tree {
    /// Reads `image`'s, once a test program: an export of a large image takes
    /// longer than most workloads.
    #[track_caller]
    fn of(image: &Image) -> Arc<Self> {
        static KNOWN: Mutex<BTreeMap<String, Arc<Tree>>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap();
        Arc::clone(known.entry(image.name.clone()).or_insert_with(|| Arc::new(Self::read(image))))
    }

    fn read(image: &Image) -> Self {
        let container = docker(["create", &image.name, "true"]);
        let mut export = Command::new("docker")
            .args(["export", &container])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut tree = Self::default();
        tree.paths.insert("/".to_owned());
        let mut archive = tar::Archive::new(export.stdout.take().unwrap());
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let path = format!("/{}", entry.path().unwrap().display());
            let path = path.trim_end_matches('/').to_owned();
            if entry.header().entry_type().is_symlink() {
                let target = entry.link_name().unwrap().unwrap().display().to_string();
                tree.links.insert(path.clone(), target);
            }
            tree.paths.insert(path);
        }
        // The archive's end is known before its last padding is read.
        drop(archive);
        let _ = export.wait();
        docker(["rm", &container]);
        tree
    }

    /// Where a name leads, symlinks followed.
    fn resolve(&self, name: &str) -> String {
        let mut left: Vec<String> = name.split('/').rev().map(str::to_owned).collect();
        let mut path = String::new();
        // A path walk gives up after 40 links.
        let mut links = 40;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => {}
                ".." => path.truncate(path.rfind('/').unwrap_or(0)),
                part => {
                    let next = format!("{path}/{part}");
                    match self.links.get(&next) {
                        Some(target) if links > 0 => {
                            links -= 1;
                            if target.starts_with('/') {
                                path.clear();
                            }
                            left.extend(target.split('/').rev().map(str::to_owned));
                        }
                        _ => path = next,
                    }
                }
            }
        }
        path
    }

    /// What a profile knows as executed: a script is known by the name it
    /// was executed under, and its path is the interpreter's.
    fn executed(&self, profile: &Profile) -> BTreeSet<String> {
        let of = |list: &str, key: &str| -> Vec<String> {
            let entries = profile.0[list].as_array().unwrap().iter();
            entries
                .filter(|entry| entry["kinds"].as_array().unwrap().iter().any(|k| k == "exec"))
                .filter_map(|entry| Some(entry[key].as_str()?.to_owned()))
                .collect()
        };
        let names = of("names", "name").into_iter().map(|name| self.resolve(&name));
        of("paths", "path").into_iter().chain(names).collect()
    }
}

/// Runs `command` in `image` under both observers, `drive`s it, and compares.
/// All of `at_least` must have been opened and all of `executed` executed: an
/// observer that saw nothing proves nothing.
#[track_caller]
fn compare(
    image: &Image,
    options: &[&str],
    command: &[&str],
    at_least: &[&str],
    executed: &[&str],
    drive: impl FnOnce(&Gated),
) {
    let tree = Tree::of(image);
    let directory = tempfile::tempdir().unwrap();
    let watch = Watch::start_of(directory.path(), &[image]);
    let gated = Gated::start(image, directory.path(), options, command);
    drive(&gated);
    let seen = gated.finish();
    let profile = watch.finish();
    let of_image = |paths: &BTreeSet<String>| -> BTreeSet<String> {
        paths.intersection(&tree.paths).cloned().collect()
    };
    let (opened, started) = (of_image(&seen.opened), of_image(&seen.executed));

    for path in at_least {
        assert!(opened.contains(*path), "the observer itself did not see {path}: {opened:#?}");
    }
    for path in executed {
        assert!(
            started.contains(*path),
            "the observer itself did not see {path} run: {started:#?}"
        );
    }
    assert_eq!(profile.lost(), []);
    let paths = profile.paths();
    let absent: Vec<_> = opened.difference(&paths).collect();
    assert!(absent.is_empty(), "{} of {} opened absent: {absent:#?}", absent.len(), opened.len());
    let known = tree.executed(&profile);
    let absent: Vec<_> = started.difference(&known).collect();
    assert!(
        absent.is_empty(),
        "{} of {} executed absent: {absent:#?}",
        absent.len(),
        started.len()
    );
    eprintln!(
        "{}: {} opened and {} executed, all in the profile",
        image.name,
        opened.len(),
        started.len()
    );
}

/// Asks for the page on a published port until it comes.
#[track_caller]
fn fetch(gated: &Gated, port: &str) {
    let address = docker(["port", &gated.container.id, port]);
    let url = format!("http://{}/", address.lines().next().unwrap());
    until("the server answers", || {
        let mut curl = Command::new("curl");
        let answer = curl.args(["--fail", "--silent", "--output", "/dev/null", &url]).status();
        answer.is_ok_and(|status| status.success())
    });
    output(Command::new("curl").args(["--silent", "--output", "/dev/null", &url]));
}

#[test]
fn nginx_under_http() {
    compare(
        &images::nginx(),
        &["--publish", "127.0.0.1::80"],
        &["nginx", "-g", "daemon off;"],
        &["/usr/sbin/nginx", "/etc/nginx/nginx.conf", "/etc/passwd"],
        &["/usr/sbin/nginx"],
        |gated| fetch(gated, "80"),
    );
}

#[test]
fn flask_under_http() {
    compare(
        &images::flask(),
        &["--publish", "127.0.0.1::8000"],
        &["gunicorn", "--bind", "0.0.0.0:8000", "app:app"],
        &["/home/app/app.py", "/usr/local/bin/gunicorn"],
        &["/usr/local/bin/gunicorn", "/usr/bin/python3.11"],
        |gated| fetch(gated, "8000"),
    );
}

/// Runs a script of the image's programs to its end under both observers.
#[track_caller]
fn script(options: &[&str], shell: &[&str], script: &str, opens: &[&str], executes: &[&str]) {
    let command = [shell, &["-c", script]].concat();
    compare(&images::programs(), options, &command, opens, executes, |gated| {
        let status = gated.container.wait();
        let log = || Outcome::of(Command::new("docker").args(["logs", &gated.container.id]));
        assert_eq!(status, 0, "the workload failed: {:#?}", log());
    });
}

/// A test a workload. Each ends by itself and with success; `opens` and
/// `executes` are what the observer must have seen of it.
macro_rules! workloads {
    ($($name:ident($($option:literal),*) {
        opens: $opens:expr, executes: $executes:expr, $shell:literal => $script:literal
    })*) => {$(
        #[test]
        fn $name() {
            script(&[$($option),*], &[$shell, "-e"], $script, &$opens, &$executes);
        }
    )*};
}

workloads! {
    a_shell_script_with_pipes_and_subshells() {
        opens: ["/etc/debian_version", "/etc/group", "/usr/share/doc"],
        executes: ["/usr/bin/bash", "/usr/bin/sed", "/usr/bin/find", "/usr/bin/sort"],
        "bash" => r#"
            (cd /etc && cat os-release | grep -c . ) | tr -d '\n' > /tmp/count
            names=$(find /usr/share/doc -maxdepth 1 | sort | head -n 5)
            for name in $names; do (basename "$name" | wc -c & wait); done
            { ls /usr/bin; ls /usr/lib; } | sed -n 's/^a//p' | while read -r line; do :; done
            cat <(cat /etc/../etc/debian_version) | cut -c1
            exec sort /etc/group
        "#
    }
    a_dash_script_that_sources_and_executes_others() {
        opens: ["/etc/profile", "/etc/issue", "/etc/shells"],
        executes: ["/usr/bin/dash", "/usr/bin/which.debianutils", "/usr/bin/ischroot"],
        "dash" => r#"
            . /etc/profile
            PATH=/usr/sbin:/usr/bin
            which ls cat
            ischroot || :
            while read -r shell; do test -e "$shell" || :; done < /etc/shells
            cd /usr/share && cd base-files && cat motd > /tmp/motd || :
            printf '#!/tmp/inner\n' > /tmp/outer; printf '#!/bin/sh\necho ok\n' > /tmp/inner
            chmod +x /tmp/outer /tmp/inner; /tmp/outer
            (umask 077; exec 3< /etc/issue; cat <&3)
        "#
    }
    python_with_its_library() {
        opens: ["/usr/lib/python3.11/zipfile.py", "/etc/ssl/certs/ca-certificates.crt"],
        executes: ["/usr/bin/python3.11", "/usr/bin/uname"],
        "bash" => r#"
            cat > /tmp/work.py <<'END'
import ctypes, concurrent.futures, email.message, glob, json, multiprocessing, os, shutil
import sqlite3, ssl, subprocess, sys, tempfile, zipfile, zoneinfo
print(json.dumps({'paths': sys.path}))
ssl.create_default_context()
sqlite3.connect(':memory:').execute('select 1')
subprocess.run(['uname', '-a'], check=True)
with zipfile.ZipFile('/tmp/z.zip', 'w') as z:
    z.write('/etc/hostname'), z.write('/usr/lib/os-release')
glob.glob('/usr/share/*/*.conf')
shutil.copytree('/etc/python3', '/tmp/python3', symlinks=True)
print(zoneinfo.ZoneInfo('Europe/Berlin')) if os.path.exists('/usr/share/zoneinfo') else None
with multiprocessing.Pool(2) as pool:
    print(pool.map(os.path.getsize, ['/etc/fstab', '/etc/passwd']))
with concurrent.futures.ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda p: open(p, 'rb').read(1), glob.glob('/usr/lib/python3.11/*.py')))
END
            python3 /tmp/work.py
            python3 -m compileall -q -d x /usr/lib/python3.11/json || :
        "#
    }
    perl_with_its_modules() {
        opens: ["/usr/share/perl/5.36.0/File/Find.pm", "/etc/services"],
        executes: ["/usr/bin/perl", "/usr/bin/id"],
        "bash" => r#"
            perl -MFile::Find -MData::Dumper -MPOSIX -MEncode -MStorable -MSocket -MTime::Local -we '
                my $n = 0; find(sub { $n++ if -f }, "/etc"); print "$n\n";
                open my $f, "<:encoding(UTF-8)", "/etc/services" or open $f, "<", "/etc/group"; 1 while <$f>;
                print scalar(getpwnam("root")), `id -u`;
                my @stat = lstat "/etc/mtab"; print readlink "/etc/os-release";
                opendir my $d, "/usr/share/perl" or die; print join ",", readdir $d;
                setlocale(LC_ALL, "");'
            perldoc -l File::Find || :
            corelist strict > /tmp/core || :
        "#
    }
    git_from_init_to_gc() {
        opens: ["/usr/share/git-core/templates/info/exclude"],
        executes: ["/usr/bin/git"],
        "bash" => r#"
            export HOME=/tmp
            git config --global user.email a@example.org; git config --global user.name a
            git init -q /tmp/r; cd /tmp/r
            cp -r /etc/nginx .; git add .; git commit -qm first
            echo x >> nginx/nginx.conf; git commit -qam second
            git branch side HEAD~1; git checkout -q side; echo y > y; git add y; git commit -qm side
            git merge -q master -m merged; git log --graph --stat | cat; git blame nginx/nginx.conf > /tmp/blame
            git gc -q; git fsck; git clone -q /tmp/r /tmp/c; cd /tmp/c; git fetch -q; git stash list
            git bisect start; git bisect reset; git submodule status; git archive HEAD | tar -t > /tmp/list
        "#
    }
    tar_with_compressors() {
        opens: ["/etc/nginx/mime.types", "/usr/share/bash-completion/completions/git"],
        executes: ["/usr/bin/tar", "/usr/bin/gzip", "/usr/bin/xz"],
        "bash" => r#"
            cd /; tar -czf /tmp/etc.tgz etc; tar -cJf /tmp/x.tar.xz usr/share/bash-completion
            tar -c --xattrs --acls usr/share/nginx etc/ssl | tar -xC /tmp
            tar -tf /tmp/etc.tgz > /tmp/list; tar -dzf /tmp/etc.tgz || :
            mkdir /tmp/out; tar -xf /tmp/x.tar.xz -C /tmp/out; zcat /tmp/etc.tgz | tar -x -C /tmp/out
        "#
    }
    gcc_from_source_to_a_run() {
        opens: ["/usr/include/stdio.h", "/usr/lib/x86_64-linux-gnu/crt1.o"],
        executes: ["/usr/bin/x86_64-linux-gnu-gcc-12", "/usr/bin/x86_64-linux-gnu-as",
            "/usr/bin/x86_64-linux-gnu-ld.bfd", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1"],
        "bash" => r#"
            cd /tmp
            cat > a.c <<'END'
#include <stdio.h>
#include <math.h>
#include <dlfcn.h>
#include <pthread.h>
int main(void) { void *h = dlopen("libz.so.1", RTLD_NOW); printf("%p %f\n", h, sqrt(2)); return h == 0; }
END
            gcc -O2 -g a.c -o a -lm -lpthread; ./a
            gcc -static a.c -o s -lm 2> /dev/null; ./s || :
            gcc -shared -fPIC -o liba.so a.c -lm; gcc -flto a.c -o lto -lm; gcc -E -dM - < /dev/null > macros
            ar rc liba.a a.o || ar rc liba.a a; strip a; objdump -p a > /dev/null; nm -D a; ldd a
        "#
    }
    make_with_a_recipe_tree() {
        opens: ["/usr/include/stdlib.h"],
        executes: ["/usr/bin/make", "/usr/bin/install"],
        "bash" => r#"
            mkdir -p /tmp/m/sub; cd /tmp/m
            printf 'int main(void){return 0;}\n' > p.c; printf '#include <stdlib.h>\nint f(void){return abs(1);}\n' > sub/f.c
            printf 'VPATH=sub\np: p.o f.o\n\tgcc -o $@ $^\n%%.o: %%.c /usr/include/stdlib.h\n\tgcc -c -o $@ $<\n' > Makefile
            printf 'install: p\n\tinstall -m 755 p /tmp/installed\n\tcd sub && $(MAKE) -f ../sub.mk\n' >> Makefile
            printf 'all:\n\t@echo $(shell ls /usr/include/*.h) > /tmp/list\n' > sub.mk
            make -j2 install; make -n; make -p > /tmp/db || :
        "#
    }
    find_and_xargs_over_the_whole_tree() {
        opens: ["/", "/usr/lib", "/etc/nginx", "/usr/share/doc/git"],
        executes: ["/usr/bin/find", "/usr/bin/xargs", "/usr/bin/md5sum", "/usr/bin/du"],
        "bash" => r#"
            find / -xdev -type d > /tmp/dirs
            find /etc -type f -print0 | xargs -0 -P 4 -n 20 md5sum > /tmp/sums
            find /usr/share/nginx -newer /etc/passwd -execdir stat {} + || :
            find /usr/bin -lname '*perl*' -printf '%p %l\n'
            find /usr/lib/git-core -maxdepth 1 -exec test -x {} \; -exec head -c 4 {} \; > /tmp/heads || :
            du -s /usr/share /var > /tmp/du; ls -lR /usr/lib/python3.11 > /tmp/ls
        "#
    }
    awk_sed_grep_and_sort() {
        opens: ["/etc/passwd", "/usr/share/common-licenses/GPL-3"],
        executes: ["/usr/bin/mawk", "/usr/bin/sed", "/usr/bin/grep", "/usr/bin/sort", "/usr/bin/join"],
        "bash" => r#"
            awk -F: '{ n[$7]++ } END { for (s in n) print n[s], s | "sort -n" }' /etc/passwd
            awk '{ while ((getline line < "/etc/group") > 0) c++ } END { print c }' /etc/shells
            cp /usr/share/common-licenses/GPL-3 /tmp/l; sed -i.bak -e 's/GNU/gnu/g' /tmp/l; sed -n '1~50p' /tmp/l
            grep -rl root /etc > /tmp/roots; grep -c . /usr/share/common-licenses/*; LC_ALL=C.UTF-8 grep -P '\d{4}' /tmp/l > /tmp/years
            sort -t: -k3n --parallel 2 /etc/passwd | join -t: - <(sort /etc/passwd) || :
            diff /etc/passwd /etc/passwd- || :; comm -12 /etc/shells /etc/shells; tac /etc/issue | rev 2> /dev/null | tr a-z A-Z
            split -l 10 /etc/group /tmp/part.; cmp /etc/group <(cat /tmp/part.*); od -c /etc/debian_version
        "#
    }
    cpio_in_and_out() {
        opens: ["/etc/bash.bashrc", "/usr/share/perl5/Debconf/Log.pm"],
        executes: ["/usr/bin/cpio"],
        "bash" => r#"
            cd /etc; find . -xdev | cpio -o -H newc --quiet > /tmp/etc.cpio; mkdir /tmp/o; cd /tmp/o; cpio -id --quiet < /tmp/etc.cpio
            cd /usr/share/perl5; find Debconf | cpio -pdm --quiet /tmp/p; cpio -t --quiet < /tmp/etc.cpio > /tmp/list
        "#
    }
    rsync_between_directories() {
        opens: ["/etc/nginx/fastcgi_params", "/usr/share/nginx/html/index.html"],
        executes: ["/usr/bin/rsync"],
        "bash" => r#"
            rsync -aHX --checksum /etc/nginx/ /tmp/n/; rsync -a --delete /etc/nginx/ /tmp/n/
            rsync -az --link-dest=/etc/nginx /etc/nginx/ /tmp/l/; rsync -n -avc /usr/share/nginx /tmp/n
            rsync -a --files-from=<(printf 'passwd\ngroup\n') /etc /tmp/f
        "#
    }
    openssl_keys_and_certificates() {
        opens: ["/etc/ssl/openssl.cnf", "/etc/ssl/certs/ca-certificates.crt"],
        executes: ["/usr/bin/openssl"],
        "bash" => r#"
            cd /tmp; openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=x -days 1 2> /dev/null
            openssl verify -CAfile c c; openssl verify c || :; openssl x509 -in c -noout -text > t
            openssl dgst -sha256 /etc/passwd; openssl list -providers; openssl ciphers > ciphers
            openssl enc -aes-256-cbc -pbkdf2 -k x -in /etc/group -out e; openssl rand -hex 8
            openssl crl2pkcs7 -nocrl -certfile /etc/ssl/certs/ca-certificates.crt -out p7
            openssl enc -provider legacy -provider default -rc4 -k x -pbkdf2 -in /etc/group -out r
            openssl rehash /tmp 2> /dev/null || c_rehash /tmp || :
        "#
    }
    sqlite_on_a_file() {
        opens: ["/etc/group"],
        executes: ["/usr/bin/sqlite3"],
        "bash" => r#"
            cd /tmp; printf '.mode list\n.separator :\n' > .sqliterc
            HOME=/tmp sqlite3 d.db 'pragma journal_mode=wal; create table t(a,b,c,d); insert into t values(1,2,3,4)'
            printf '.separator :\n.import /etc/group g\nselect count(*) from g;\n.backup b.db\n.dump\n' | sqlite3 -batch d.db > dump
            sqlite3 b.db < dump || :; sqlite3 d.db "select length(readfile('/etc/group')), writefile('/tmp/w', 'x')"; sqlite3 d.db vacuum
        "#
    }
    vim_in_ex_mode() {
        opens: ["/etc/nginx/nginx.conf", "/etc/issue"],
        executes: ["/usr/bin/vim.tiny"],
        "bash" => r#"
            cp /etc/nginx/nginx.conf /tmp/a; cd /tmp
            vim.tiny -es -c '%s/worker/labourer/ge' -c 'r /etc/issue' -c 'w! /tmp/b' -c 'q!' /etc/nginx/nginx.conf || :
            HOME=/tmp vim.tiny -E -s -c 'set backup' -c 'w! >> /tmp/c' -c '!ls /etc' -c 'qa!' /tmp/a || :
            test -s /tmp/b
        "#
    }
    redis_from_start_to_save() {
        opens: ["/etc/redis/redis.conf"],
        executes: ["/usr/bin/redis-check-rdb", "/usr/bin/redis-cli"],
        "bash" => r#"
            cd /tmp; redis-server /etc/redis/redis.conf --daemonize no --dir /tmp --logfile '' --appendonly yes \
                --pidfile /tmp/pid --supervised no &
            until redis-cli ping; do sleep 0.05; done
            redis-cli set a 1; redis-cli eval 'return redis.call("get", "a")' 0; redis-cli bgsave; redis-cli bgrewriteaof
            redis-cli --bigkeys > /tmp/keys; sleep 0.3; redis-cli shutdown save; wait; redis-check-rdb /tmp/dump.rdb
        "#
    }
    postgresql_from_initdb_to_stop("--user", "postgres", "--shm-size", "256m") {
        opens: ["/usr/share/postgresql/15/postgres.bki", "/usr/share/postgresql/15/timezonesets/Default",
            "/usr/lib/postgresql/15/lib/plpgsql.so"],
        executes: ["/usr/lib/postgresql/15/bin/initdb", "/usr/lib/postgresql/15/bin/postgres",
            "/usr/lib/postgresql/15/bin/psql"],
        "bash" => r#"
            PATH=/usr/lib/postgresql/15/bin:$PATH; cd /tmp
            initdb -N -D /tmp/d -E UTF8 --locale C.UTF-8 > /tmp/log; pg_ctl -D /tmp/d -o '-k /tmp -F' -w start > /tmp/log2
            export PGHOST=/tmp; createdb x
            psql -X x -c 'create table t as select generate_series(1, 1000) a; create index on t(a); analyze; select count(*) from t'
            psql -X x -c "create extension pg_trgm; set timezone = 'Europe/Berlin'; select now(), 'abc' % 'abd', to_tsvector('english', 'the cats')"
            pg_dump x > /tmp/dump; psql --version; pg_ctl -D /tmp/d -m fast -w stop
        "#
    }
    java_start_up() {
        opens: ["/usr/lib/jvm/java-17-openjdk-amd64/lib/modules",
            "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so", "/etc/ssl/certs/java/cacerts"],
        executes: ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "/usr/lib/jvm/java-17-openjdk-amd64/bin/keytool"],
        "bash" => r#"
            java -version; java --list-modules > /tmp/modules
            keytool -list -cacerts -storepass changeit > /tmp/list
            keytool -genkeypair -alias a -keyalg EC -dname CN=x -keystore /tmp/k -storepass changeit
            java -Xshare:off -Xlog:class+load:file=/tmp/classes -Duser.timezone=Asia/Tokyo -XshowSettings:all -version 2> /tmp/settings
        "#
    }
    node_with_modules() {
        opens: ["/etc/ssl/openssl.cnf", "/etc/services"],
        executes: ["/usr/bin/node", "/usr/bin/dash"],
        "bash" => r#"
            cat > /tmp/m.js <<'END'
const fs = require('fs'), zlib = require('zlib'), crypto = require('crypto'), child = require('child_process');
const { Worker, isMainThread } = require('worker_threads');
for (const name of ['/etc/passwd', '/etc/services', '/etc/group'])
    fs.existsSync(name) && fs.readFile(name, (error, data) => console.log(zlib.gzipSync(data).length));
console.log(crypto.createHash('sha256').update('x').digest('hex'), child.execSync('uname -a').toString());
fs.promises.readdir('/usr/share/nodejs').then(list => console.log(list.length)).catch(() => {});
fs.cp('/etc/nginx', '/tmp/nginx', { recursive: true }, () => {});
require('dns').lookup('localhost', () => {});
if (isMainThread) new Worker(__filename);
try { require('undici'); require('acorn'); } catch (error) { console.log(error.code); }
END
            node /tmp/m.js; node --input-type=module -e "import fs from 'node:fs/promises'; await fs.stat('/etc/issue')"
        "#
    }
    ruby_with_its_library() {
        opens: ["/usr/lib/ruby/3.1.0/json.rb", "/etc/debian_version"],
        executes: ["/usr/bin/ruby3.1", "/usr/bin/gem", "/usr/bin/erb3.1"],
        "bash" => r#"
            ruby -rjson -rset -ropenssl -rfileutils -rerb -ryaml -rsocket -retc -rcsv -e '
                puts JSON.dump(Dir.glob("/etc/*.conf")); FileUtils.cp_r "/etc/nginx", "/tmp/nginx"
                puts `cat /etc/debian_version`, File.realpath("/etc/os-release"), Etc.getpwuid.name
                fork { exec "true" }; Process.wait; Thread.new { IO.readlines "/etc/group" }.join
                puts YAML.dump([1]), OpenSSL::Digest::SHA256.hexdigest("x")'
            gem list > /tmp/gems; erb <<< '<%= 1 %>'
        "#
    }
    php_on_the_command_line() {
        opens: ["/etc/php/8.2/cli/php.ini", "/etc/services"],
        executes: ["/usr/bin/php8.2"],
        "bash" => r#"
            php -m; php -r 'echo json_encode(scandir("/etc")), md5_file("/etc/passwd"), shell_exec("id"), date("c");
                new DirectoryIterator("/usr/share"); $p = new PharData("/tmp/p.tar"); $p->addFile("/etc/group", "g");
                file_exists("/etc/services") and file("/etc/services"); echo gethostbyname("localhost");'
        "#
    }
    dpkg_and_apt_queries() {
        opens: ["/var/lib/dpkg/status", "/var/lib/dpkg/info/git.md5sums", "/var/lib/dpkg/info/bash.list"],
        executes: ["/usr/bin/dpkg", "/usr/bin/dpkg-query", "/usr/bin/apt-cache", "/usr/bin/apt-config"],
        "bash" => r#"
            dpkg -l > /tmp/l; dpkg -S /bin/bash || :; dpkg -L git > /tmp/git; dpkg -V git nginx-common || :
            dpkg-query -W -f '${Package} ${Version}\n' > /tmp/w; dpkg --compare-versions 1 lt 2; dpkg --print-foreign-architectures
            apt-cache policy bash; apt-cache depends nginx > /tmp/d; apt list --installed > /tmp/a 2> /dev/null; apt-mark showmanual > /tmp/m
            apt-config dump > /tmp/c; apt-get -s remove git > /tmp/r || :; debconf-show locales || :
            update-alternatives --display editor || :; cd /tmp; dpkg-deb --version; ldconfig -p > /tmp/ld
        "#
    }
    man_pages_and_locales() {
        opens: ["/etc/manpath.config", "/usr/share/i18n/locales/de_DE"],
        executes: ["/usr/bin/man", "/usr/bin/locale", "/usr/bin/localedef"],
        "bash" => r#"
            locale -a; locale -m > /tmp/m; localedef -i de_DE -f UTF-8 /tmp/de_DE.UTF-8 || :
            LOCPATH=/tmp LC_ALL=de_DE.UTF-8 date; LC_ALL=C.UTF-8 locale -k LC_TIME > /tmp/t
            manpath; man -w ls || :; printf '.TH X 1\n.SH NAME\nx - y\n' > /tmp/x.1; man --local-file /tmp/x.1 | cat || :; apropos x || :
            iconv -f ISO-8859-1 -t UTF-16 /etc/issue > /tmp/i; iconv -f UTF-8 -t CP1252 /etc/group > /tmp/g; getent passwd root; getent hosts localhost
            TZ=America/New_York date
        "#
    }
}

#[test]
fn the_observer_itself_sees_opens_and_executions() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image { name: images::base(), temporary: false };
    let gated = Gated::start(&image, directory.path(), &[], &["cat", "/etc/os-release"]);
    assert_eq!(gated.container.wait(), 0);
    let seen = gated.finish();
    for path in ["/usr/bin/cat", "/usr/lib/os-release"] {
        assert!(seen.opened.contains(path), "{seen:#?}");
    }
    assert!(seen.executed.contains("/usr/bin/cat"), "{seen:#?}");
    assert!(!seen.executed.contains("/usr/lib/os-release"), "{seen:#?}");
}
