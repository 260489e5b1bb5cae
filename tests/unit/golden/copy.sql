drop schema if exists g cascade; create schema g; set search_path=g;
create table narrow(aid int primary key, bid int, abalance int, filler char(84));
insert into narrow select i, i/10, -i, 'x' from generate_series(1,100) i;
create table empty(a int, b text);
create table nocols(); insert into nocols default values; insert into nocols default values; insert into nocols default values;
create type mood as enum ('sad','ok','happy');
create domain posint as int check (value > 0);
create type pair as (a posint, m mood, note text);
create type pairrange as range (subtype = int4);
create table mixed(k1 text, id bigint, v mood, vs mood[], p pair, ps pair[], d posint[], r pairrange, mr pairmultirange, j jsonb, n numeric, t timestamptz, b bytea, u uuid, tsv tsvector, primary key(id,k1));
insert into mixed values ('a',1,'ok','{sad,happy,NULL}','(3,ok,"x,y")', array['(1,sad,)'::pair, null, '(,,z)'], '{1,2,3}', '[1,5)', '{[1,2),[5,9)}', '{"a":[1,2,null]}', 'NaN', 'infinity', '\x00ff0a5c09', '00000000-0000-0000-0000-000000000001', 'a:1A b:2');
insert into mixed values (E'tab\tnl\nbs\\ cr\r', -1, null,'{}',null,'{}','[2:3]={7,8}','empty','{}', 'null', 1e100,'-infinity','',null,'');
insert into mixed(k1,id) select repeat('k',i), i from generate_series(2,20) i;
create table onetext(t text); insert into onetext values (''),(null),('\.'),(E'\\N'),('x');
\copy narrow to narrow.bin (format binary)
\copy narrow to narrow.txt
\copy empty to empty.bin (format binary)
\copy empty to empty.txt
\copy nocols to nocols.bin (format binary)
\copy nocols to nocols.txt
\copy mixed to mixed.bin (format binary)
\copy mixed to mixed.txt
\copy onetext to onetext.bin (format binary)
\copy onetext to onetext.txt
